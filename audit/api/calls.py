"""`audit.check`, `audit.equivalence` and `audit.compare`: the same work as on the command line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.api.audit_result import Result
from audit.api.given_objects import BUNDLED, live_objects, settings_of
from audit.engine.live_objects import name_of
from audit.engine.progress import Progress, silent

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from audit.api.given_objects import Explainer, Model, Score
    from audit.engine.comparison import Comparison
    from audit.engine.explainer_families import Equivalence


def check(
    explainer: Explainer,
    *,
    model: Model = BUNDLED,
    data: object = BUNDLED,
    score: Score | None = None,
    preprocess: Callable[[Image], Tensor] | None = None,
    classes: Sequence[str] | None = None,
    supervised: bool = True,
    progress: Progress = silent,
    **settings: Any,
) -> Result:
    """Audit an explainer.

    No file of settings is read, nothing is written into the current folder, and no history is kept
    unless ``out`` or ``history`` is given. The caller's own module stays as it is.

    Args:
        explainer: a function ``(model, images, targets) -> maps`` (pairs, h, w), a class that is
            built with the model and called with ``(images, targets)``, or a name as the command
            line takes it.
        model: a name, a `ModelUnderAudit`, or a plain ``nn.Module`` that gives logits
            (pictures, classes), or has two towers (``encode_image`` and ``encode_text``, or
            ``get_image_features`` and ``get_text_features``) where targets are token ids.
        data: a name or a manifest's path; ``(pictures, targets)`` or
            ``(pictures, targets, masks)``; or a dataset of torch with such items, or the keys
            ``image``, ``label``, ``mask``. Pictures are floating point tensors (pairs, 3, H, W)
            that are ready for the model, or PIL pictures with ``preprocess``; targets are class
            ids, labels, or rows of token ids (pairs, context); masks (pairs, H, W) are true where
            the object is. Of more than ``samples`` some are drawn.
        score: ``score(module, images, targets) -> (pairs,)`` of a plain module without logits.
        preprocess: from a PIL picture in RGB to a plain module's input (3, H, W).
        classes: names of a plain module's classes, in the order of its logits.
        supervised: False to run the explainer in this process, such as under a debugger, which the
            result tells; it runs here as well where objects can be given to no other process.
        progress: told the phase, the steps done and the steps in all.
        **settings: any of ``audit check``, such as ``profile="quick"``, ``samples=48``,
            ``select="P101-P105"``, ``quality="energy,road"``,
            ``options={"heads": "model"}``, ``strict=True``, ``out=FOLDER``.

    Returns:
        The result; ``result.passed`` is the gate.

    Raises:
        ValueError: wrong usage, settings or input (subclasses say which).
        ReportedError: the explainer raises or returns no maps; the message names its line. Where it
            runs in this process, an `ExplainerFaultError`.
        IncompleteError: the audit could not be completed and there is nothing to report.
    """
    from audit.engine.checking import check_explainer

    live = live_objects(explainer, model, data, score=score, preprocess=preprocess, classes=classes)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        chosen = settings_of(explainer, model, data, live, {"out": folder, **settings})
        if settings.get("out") is None and "formats" not in settings:
            chosen = chosen.model_copy(update={"formats": ("json",)})
        found, note = check_explainer(chosen, progress, live=live, supervise=supervised)
    notes = [*found.notes, *([note] if note else [])]
    return Result.of(found.model_copy(update={"notes": notes}))


def equivalence(
    one: Explainer,
    other: Explainer,
    *more: str,
    model: Model = BUNDLED,
    data: object = BUNDLED,
    score: Score | None = None,
    preprocess: Callable[[Image], Tensor] | None = None,
    classes: Sequence[str] | None = None,
    supervised: bool = True,
    **settings: Any,
) -> Equivalence:
    """Compare the maps of explainers, each with each, on every pair, in double precision.

    They are compared on the model and on one of its architecture with its weights drawn anew.

    Args:
        one: an explainer, as of `check`.
        other: another one.
        *more: further ones, by name.
        model: as of `check`, like ``data``, ``score``, ``preprocess`` and ``classes``.
        data: likewise.
        score: likewise.
        preprocess: likewise.
        classes: likewise.
        supervised: likewise.
        **settings: of ``audit equivalence``; 64 pairs unless ``samples`` is given.

    Returns:
        Whether they are ``equivalent``, and the ``sentence`` that says how far they differ; maps
        that are the same up to a factor, or rank alike, in ``pairings``.

    Raises:
        ValueError: wrong usage, settings or input.
        ReportedError: an explainer raises or returns no maps.
    """
    from audit.engine.equivalence import compare_explainers
    from audit.former_names import present_explainer

    live = live_objects(
        one, model, data, other, score=score, preprocess=preprocess, classes=classes
    )
    chosen = settings_of(one, model, data, live, {"samples": 64, **settings})
    named = present_explainer(other)[0] if isinstance(other, str) else name_of(other)
    further = [present_explainer(name)[0] for name in more]
    return compare_explainers(chosen, [named, *further], live, supervise=supervised)


def compare(
    old: Result | str | os.PathLike[str],
    new: Result | str | os.PathLike[str],
    *,
    fail_on: str = "error",
    strict: bool = False,
) -> Comparison:
    """Compare the results of two releases, check by check, and pair by pair on the same data.

    Args:
        old: the accepted release: a result, or the path of a ``result.json``.
        new: the candidate.
        fail_on: lowest severity at which a new violation counts: ``error`` or ``warning``.
        strict: lower quality of the maps counts as well.

    Returns:
        Whether the candidate is ``worse``, and ``lines`` for the reader.

    Raises:
        ValueError: a file that is no result, or another ``fail_on``.
    """
    from audit.engine.comparison import compare_results
    from audit.result.document import read_result
    from audit.result.finding import Severity

    one, two = (r if isinstance(r, Result) else read_result(Path(r)) for r in (old, new))
    return compare_results(one, two, fail_on=Severity(fail_on), strict=strict)
