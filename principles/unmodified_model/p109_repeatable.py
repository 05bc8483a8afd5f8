"""P109 repeatable.

What it does: Explains a few pairs alone, again alone, in a batch of nothing but the pair itself, in
a batch, in another order with other pictures, and beside the same picture with other texts, and
compares the maps with those of the pair alone. What a change may be comes from null controls of
this very run: ten times what the same batches do to a faithful control, ten times what a few
roundings of the weights do to the explainer's own map, and the square root of the dtype's
resolution. An explainer that declares itself stochastic is compared with its own repeats instead:
alone, and beside itself.

Why it matters: A map that depends on what else is in the batch explains the batch. A map that
differs from run to run without saying so cannot be reproduced.

What a pass does not show: That the map is the same on other hardware or another version of a
library.
"""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Evidence, Reference, Repeatability, Roles
from audit.result.schema import (
    BarsFigure,
    Figure,
    Finding,
    PairFigure,
    Severity,
    Statistic,
    TableFigure,
    Verdict,
)
from audit.trace.records import Array
from principles.check import Check, Thresholds
from principles.finding_parts import finite, listed, number, pair_figure, percent, plural, witness

ITSELF = "beside itself"


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where a map depends on its neighbours, or varies more than the explainer states."""
    found, reference, roles = evidence.repeatability, evidence.reference, evidence.roles
    assert found is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    limits = _limits(found, roles, thresholds)
    judged = limits <= (np.inf if roles.stochastic else float(thresholds["largest_limit"]))
    beyond = (found.relative_l2 > limits) & judged
    failing = _failing(found, beyond, roles, thresholds)
    figures: list[Figure] = [_bars(found), _table(found, beyond)]
    statistics = [_statistic(found, limits)]
    if failing:
        return _violation(found, reference, roles, failing, beyond, statistics, figures)
    if not judged.all(0).any():
        summary = (
            "The map varies too much to be compared: rounding of the weights moves it by "
            f"{percent(float(np.median(found.noise)))} (median)."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    summary = (
        "The map of a pair is the same alone, in a batch and again, for "
        f"{plural(int(judged.all(0).sum()), 'pair')}"
        + (", within the spread of its own repeats." if roles.stochastic else ".")
    )
    return Finding(verdict=Verdict.PASS, summary=summary, statistics=statistics, figures=figures)


def _limits(found: Repeatability, roles: Roles, thresholds: Thresholds) -> Array:
    """Change of each map that is no finding, (conditions, pairs).

    Rounding of the weights explains changes in other company, never those of the same call.
    """
    factor = float(thresholds["noise_factor"])
    control = float(found.control.max(initial=0.0))
    least = max(factor * control, float(np.sqrt(found.resolution)))
    own = factor * found.noise
    if roles.stochastic:
        own = float(thresholds["repeat_factor"]) * found.repeats.max(0)
    company = np.maximum(least, own)
    same = company if roles.stochastic else np.full_like(own, least)
    return np.stack([same if _again(what) else company for what in found.conditions])


def _failing(
    found: Repeatability, beyond: Array, roles: Roles, thresholds: Thresholds
) -> list[int]:
    """Conditions under which maps changed; by chance a stochastic explainer may, on few pairs."""
    least = float(thresholds["least_share"]) if roles.stochastic else 0.0
    return [i for i in range(len(found.conditions)) if beyond[i].mean() > least]


def _again(condition: str) -> bool:
    return condition.startswith("again")


def _violation(
    found: Repeatability,
    reference: Reference,
    roles: Roles,
    failing: list[int],
    beyond: Array,
    statistics: list[Statistic],
    figures: list[Figure],
) -> Finding:
    names = [found.conditions[i] for i in failing]
    changes = np.where(beyond, found.relative_l2, -1.0)[failing]
    worst, row = np.unravel_index(int(changes.argmax()), changes.shape)
    condition = failing[int(worst)]
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"The map of a pair {_what(names)}: it changes by "
        f"{percent(float(found.relative_l2[condition, row]))} {found.conditions[condition]}.",
        detail=[f"It changes {listed(names, most=6)}."],
        statistics=statistics,
        samples=sorted({reference.ids[int(found.pairs[i])] for i in np.nonzero(beyond)[1]}),
        figures=[*figures, _maps_figure(found, reference, condition, int(row))],
        witness=witness(roles, "P109", pair),
    )


def _what(conditions: list[str]) -> str:
    if any(_again(name) for name in conditions):
        return "differs from run to run, which the explainer does not declare"
    if ITSELF in conditions:
        return (
            "depends on its place in the batch, as random numbers drawn for a whole batch do that "
            "are not declared"
        )
    return "depends on what else is in the batch"


def _statistic(found: Repeatability, limits: Array) -> Statistic:
    ratio = found.relative_l2 / limits
    worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return Statistic(
        name="largest change of a map (relative L2), against its limit",
        value=finite(float(found.relative_l2[worst])),
        threshold=finite(float(limits[worst])),
        good_side="below",
        n=len(found.pairs),
    )


def _bars(found: Repeatability) -> BarsFigure:
    largest = found.relative_l2.max(1)
    return BarsFigure(
        title="Change of the map of a pair",
        caption="Largest relative change over pairs against the map of the pair alone.",
        labels=list(found.conditions),
        values=[finite(float(v)) for v in largest],
        limit=float(np.sqrt(found.resolution)),
        log_scale=bool((largest > 0).all()),
    )


def _table(found: Repeatability, beyond: Array) -> TableFigure:
    rows = [
        [
            what,
            number(float(found.relative_l2[i].max())),
            number(float(found.largest[i].max())),
            number(float(found.control[i].max())),
            str(int(beyond[i].sum())),
        ]
        for i, what in enumerate(found.conditions)
    ]
    return TableFigure(
        title="The same pairs under other conditions",
        caption="Largest over pairs. The control is a faithful explainer in the same company.",
        columns=["condition", "change (relative L2)", "largest difference / largest value",
                 "change of the control", "pairs beyond the limit"],
        rows=rows,
    )  # fmt: skip


def _maps_figure(
    found: Repeatability, reference: Reference, condition: int, row: int
) -> PairFigure:
    what = found.conditions[condition]
    return pair_figure(
        reference,
        int(found.pairs[row]),
        "One pair, two maps",
        f"The pair explained alone, and {what}.",
        [("alone", found.maps[row]), (what, found.changed_maps[condition][row])],
        shared_scale=True,
    )


CHECK = Check(
    id="P109",
    name="repeatable",
    title="Is the map of a pair the same alone, in a batch, and a second time?",
    failure_title="The map of a pair depends on its neighbours, or varies from run to run",
    severity=Severity.ERROR,
    needs=frozenset({"repeatability", "reference"}),
    thresholds={
        "noise_factor": 10.0,
        "largest_limit": 0.1,
        "repeat_factor": 2.0,
        "least_share": 0.5,
    },
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
