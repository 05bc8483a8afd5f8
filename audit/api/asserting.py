"""`audit.assert_explains`: the quick checks of an explainer within a test."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from audit.api.audit_result import Result
from audit.api.calls import check
from audit.result.finding import Verdict

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from audit.api.given_objects import Explainer, Model, Score

QUICK_CHECKS = "P101-P105,P109,P110"
PAIRS = 4
_INPUT = "P103"
_OPEN = frozenset({"inconclusive"})


class UnsettledWarning(UserWarning):
    """A check could not tell: neither a pass nor a violation."""


def assert_explains(
    explainer: Explainer,
    model: Model,
    images: object,
    targets: object,
    *,
    score: Score | None = None,
    preprocess: Callable[[Image], Tensor] | None = None,
    classes: Sequence[str] | None = None,
    **settings: Any,
) -> Result:
    """Assert that an explainer explains the unmodified model, on a few pairs, in seconds.

    Runs P101 to P105, P109 and P110. The explainer runs in this process, as a test's code does;
    ``supervised=True`` gives it one of its own, for a few seconds more.

    Args:
        explainer: as of `audit.check`.
        model: likewise.
        images: ready tensors (pairs, 3, H, W), or PIL pictures with ``preprocess``.
        targets: class ids, labels, or rows of token ids, one a picture.
        score: as of `audit.check`, like ``preprocess`` and ``classes``.
        preprocess: likewise.
        classes: likewise.
        **settings: as of `audit.check`; warnings fail too unless ``fail_on="error"`` is given.

    Returns:
        The result. A check that could not tell is told by an `UnsettledWarning`.

    Raises:
        AssertionError: a violation, nothing that could be judged, or an explainer that never runs
            the model; the message is the finding.
        ValueError: wrong usage, settings or input.
    """
    from audit.reports.plain_text import render_failures

    chosen = {
        "profile": "quick",
        "samples": PAIRS,
        "select": QUICK_CHECKS,
        "fail_on": "warning",
        "supervised": False,
        **settings,
    }
    result = check(
        explainer,
        model=model,
        data=(images, targets),
        score=score,
        preprocess=preprocess,
        classes=classes,
        **chosen,
    )
    if failed := _without_the_model(result) if result.passed else render_failures(result):
        raise AssertionError(failed)
    for one in result.checks:
        if one.finding.verdict in _OPEN:
            warnings.warn(f"{one.id} {one.name}: {one.finding.summary}", UnsettledWarning, 2)
    return result


def _without_the_model(result: Result) -> str:
    """What is said of an explainer that never runs the model: it keeps all of it, and tells none.

    Nothing for any other.
    """
    found = result.findings.get(_INPUT)
    if found is None or found.verdict is not Verdict.NOT_APPLICABLE:
        return ""
    return (
        f"{result.explainer.name}: {found.summary} So nothing shows that its maps explain the "
        "model; audit.check asks whether they depend on it (P107) and find what moves its score "
        "(P108)."
    )
