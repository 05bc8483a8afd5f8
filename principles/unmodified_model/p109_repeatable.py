"""P109 repeatable.

What it does: Explains a few pairs alone, again alone, in a batch of nothing but the pair itself, in
a batch, in another order with other pictures, and beside the same picture with other targets, and
compares the maps with those of the pair alone. What a change may be comes from null controls of
this very run: ten times what the same batches do to a faithful control, ten times what a few
roundings of the weights do to the explainer's own map, and the square root of the dtype's
resolution. An explainer that declares itself stochastic is compared with its own repeats instead:
alone, and beside itself.

Why it matters: A map that depends on what else is in the batch explains the batch. A map that
differs from run to run without saying so cannot be reproduced.

How to fix it: Explain each pair by itself: sum the batch's scores before the gradient is taken, do
not normalize, average or attend over the batch axis, and put the model in eval mode. Keep nothing
between calls. If the method draws random numbers, declare `stochastic = True` and draw for each
pair from a generator with a seed of its own.

What a pass does not show: That the map is the same on other hardware or another version of a
library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Reference, Repeatability, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.wording import counted, percent
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import listed, witness
from principles.limits import CheckLimits, NotNegative, Share
from principles.unmodified_model import remedies
from principles.unmodified_model import repeat_figures as figures
from principles.unmodified_model.repeat_conditions import (
    ITSELF,
    again,
    allowed_changes,
    dependence,
)


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a change of a map is judged by."""

    noise_factor: NotNegative = 10.0  # times what a control, or roundings of the weights, change
    largest_limit: NotNegative = 0.1  # beyond such a limit a pair is not judged
    repeat_factor: NotNegative = 2.0  # times its own repeats, of a stochastic explainer
    least_share: Share = 0.5  # of the pairs; some of a stochastic one's change by chance


def judge(
    repeatability: Repeatability, reference: Reference, roles: Roles, limits: Limits
) -> Finding:
    """Violated where a map depends on its neighbors, or varies more than the explainer states."""
    found = repeatability
    factors = limits.noise_factor, limits.repeat_factor
    allowed = allowed_changes(found, *factors, stochastic=roles.stochastic)
    judged = allowed <= (np.inf if roles.stochastic else limits.largest_limit)
    beyond = (found.relative_l2 > allowed) & judged
    least = limits.least_share if roles.stochastic else 0.0
    failing = [i for i in range(len(found.conditions)) if beyond[i].mean() > least]
    statistics = [figures.statistic(found, allowed)]
    if failing:
        return _violation(found, reference, roles, failing, beyond, statistics)
    if not judged.all(0).any():
        summary = (
            "The map varies too much to be compared: rounding of the weights moves it by "
            f"{percent(float(np.median(found.noise)))} (median)."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    within = ", within the spread of its own repeats" if roles.stochastic else ""
    return Finding(
        verdict=Verdict.PASS,
        summary="The map of a pair is the same alone, in a batch and again, for "
        f"{counted(int(judged.all(0).sum()), 'pair')}{within}.",
        statistics=statistics,
        figures=[figures.bars(found), figures.table(found, beyond)],
    )


def _violation(
    found: Repeatability,
    reference: Reference,
    roles: Roles,
    failing: list[int],
    beyond: Array,
    statistics: list[Statistic],
) -> Finding:
    names = [found.conditions[i] for i in failing]
    changes = np.where(beyond, found.relative_l2, -1.0)[failing]
    worst, row = np.unravel_index(int(changes.argmax()), changes.shape)
    condition = failing[int(worst)]
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"The map of a pair {dependence(names)}: it changes by "
        f"{percent(float(found.relative_l2[condition, row]))} {found.conditions[condition]}.",
        detail=[f"It changes {listed(names, most=6)}."],
        statistics=statistics,
        samples=sorted({reference.ids[int(found.pairs[i])] for i in np.nonzero(beyond)[1]}),
        figures=[
            figures.bars(found),
            figures.table(found, beyond),
            figures.maps(found, reference, condition, int(row)),
        ],
        witness=witness(roles, "P109", pair),
        remedy=remedies.of_company(
            again=any(again(name) for name in names),
            beside_itself=ITSELF in names,
            change=found.conditions[condition],
        ),
    )


CHECK = Check(
    id="P109",
    name="repeatable",
    title="Is the map of a pair the same alone, in a batch, and a second time?",
    failure_title="The map of a pair depends on its neighbors, or varies from run to run",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
