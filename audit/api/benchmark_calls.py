"""`audit.benchmark`: several explainers on one model and its data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.api.benchmark_result import Benchmark
from audit.api.given_objects import BUNDLED, live_objects, settings_of
from audit.config.settings import SettingsError
from audit.engine.live_objects import name_of
from audit.engine.progress import Progress, silent

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from audit.api.given_objects import Explainer, Model, Score


def benchmark(
    explainers: Sequence[Explainer],
    *,
    model: Model = BUNDLED,
    data: object = BUNDLED,
    score: Score | None = None,
    preprocess: Callable[[Image], Tensor] | None = None,
    classes: Sequence[str] | None = None,
    supervised: bool = True,
    progress: Progress = silent,
    **settings: Any,
) -> Benchmark:
    """Audit several explainers and compare them, as ``audit benchmark`` does.

    What depends on model and data alone is measured once. An explainer that raises does not stop
    the others.

    Args:
        explainers: each as of `audit.check`.
        model: as of `audit.check`, like ``data``, ``score``, ``preprocess`` and ``classes``.
        data: likewise.
        score: likewise.
        preprocess: likewise.
        classes: likewise.
        supervised: likewise.
        progress: likewise.
        **settings: likewise; with ``out=FOLDER`` the page, the tables and the reports are written.

    Returns:
        The results, and the page that compares them.

    Raises:
        ValueError: wrong usage, settings or input.
    """
    from audit.engine.benchmark_cells import cells
    from audit.engine.benchmark_reports import write_benchmark
    from audit.engine.benchmarking import run_benchmark

    if isinstance(explainers, str) or callable(explainers) or not explainers:
        raise SettingsError(
            f"expected a list of explainers, got {explainers!r}; audit.check takes a single one"
        )
    given = {one if isinstance(one, str) else name_of(one): one for one in explainers}
    first = next(iter(given.values()))
    live = live_objects(first, model, data, score=score, preprocess=preprocess, classes=classes)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        out = {"out": folder, "formats": ("html", "json"), **settings}
        chosen = settings_of(first, model, data, live, out)
        asked = [
            replace(cell, live=replace(live, explainer=_object(given[cell.name])))
            for cell in cells(given, [{}], chosen)
        ]
        found = run_benchmark(asked, Path(chosen.out), progress, supervise=supervised)
        if settings.get("out") is not None:
            write_benchmark(found, Path(chosen.out))
    return Benchmark(found)


def _object(explainer: Explainer) -> Callable[..., Any] | None:
    return None if isinstance(explainer, str) else explainer
