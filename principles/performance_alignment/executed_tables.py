"""Numbers and words of what P204 found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audit.evidence.kinds import Executed, Roles
from audit.result.figures import TableFigure
from audit.result.finding import Finding, Verdict
from audit.result.numbers import Interval, Statistic
from audit.result.wording import DASH, number, percent
from audit.statistics.estimate import Estimate
from audit.statistics.power import visible_distance
from principles.finding_parts import finite, interval_words
from principles.performance_alignment.estimates import Measure, decider_words
from principles.performance_alignment.gains import Gain

_MCNEMAR = "McNemar's exact test, the null being equal accuracy"
_FLIPS = "sign flips of pictures, the null being equal quality"


def with_the_drop(
    found: Finding, drop: Estimate, statistics: list[Statistic], negligible: float
) -> Finding:
    """What the maps say, which accuses only where the drop is not negligible either."""
    if found.verdict is Verdict.PASS:  # by the maps, whose number comes first
        ordered = [*found.statistics[:1], *statistics, *found.statistics[1:]]
        return found.model_copy(update={"statistics": ordered})
    update: dict[str, Any] = {"statistics": [*statistics, *found.statistics]}
    if found.verdict is Verdict.VIOLATION and not drop.below(-negligible):
        update |= {"verdict": Verdict.INCONCLUSIVE, "remedy": ""}
        update["summary"] = f"{found.summary} The drop in accuracy may be negligible."
    return found.model_copy(update=update)


def accuracy_words(executed: Executed, drop: Estimate) -> str:
    """How well what is executed classifies beside the model."""
    return (
        f"What the explainer executes is right on {percent(executed.correct.mean())} of "
        f"{len(executed.correct)} pictures, the model on {percent(executed.model_correct.mean())} "
        f"(difference {interval_words(drop)})."
    )


def drop_statistic(drop: Estimate, negligible: float) -> Statistic:
    """The drop in accuracy: one value is refuted to pass, and to accuse."""
    name, limit = "executed minus model accuracy", -negligible
    return _statistic(name, drop, _MCNEMAR, threshold=limit, good_side="above")


def gain_statistic(name: str, gain: Gain) -> Statistic:
    """The gain of the maps beside its zone."""
    none, clear = gain.negligible, 0.0
    end = none if gain.size.value < (none + clear) / 2 else clear
    ends = {"threshold": end, "none": none, "clear": clear}
    return _statistic(name, gain.size, _FLIPS, good_side="below", **ends)


def _statistic(name: str, e: Estimate, test: str, **more: Any) -> Statistic:
    return Statistic(
        name=name,
        value=finite(e.value),
        interval=Interval(low=finite(e.low), high=finite(e.high), level=e.level),
        n=e.n,
        smallest_visible_effect=finite(visible_distance(e.low, e.high, e.level)),
        p=e.p,
        p_test="" if e.p is None else test,
        **more,
    )


def executed_table(executed: Executed, found: Sequence[Measure], roles: Roles) -> TableFigure:
    """Accuracy and quality of either."""
    rows = [
        [
            name,
            percent(share),
            *(number(float(np.nanmean(m.values[key]))) if key in m.values else DASH for m in found),
        ]
        for name, share, key in (
            ("as executed", executed.correct.mean(), roles.audited),
            (
                f"the model, {roles.twin or 'no twin'}",
                executed.model_correct.mean(),
                roles.twin or "",
            ),
        )
    ]
    return TableFigure(
        title="Accuracy and map quality of what is executed and of the model",
        caption="Zero-shot top-1 of a present class; localization is mean "
        f"{decider_words(roles)}, faithfulness a mean share of the model's own full minus empty "
        "score.",
        columns=["", "accuracy", *(m.name for m in found)],
        rows=rows,
    )
