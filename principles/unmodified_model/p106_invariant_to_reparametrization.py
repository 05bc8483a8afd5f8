"""P106 invariant-to-reparametrization.

What it does: Edits the weights so that the model's function provably stays (key-bias shift,
compensated value-bias shift, query/key rotation and mixing, value/output mixing, orders of heads
and neurons, LayerNorm folding, joint rotation of the projections; where no blocks are known orders
of channels, scaling through ReLU, and scaling or folding of batch norms), proves it by the scores
in this very run, and compares the maps before and after. A map has moved where its relative change
exceeds 0.001 and ten times what a few roundings of the weights do to it, on a fifth of the pairs or
more. The severity of a violation is a warning, and an error where the mean rank correlation falls
below 0.9. Shifts of a bias and scalings are never more than a warning: they have no natural size,
and a larger one moves any map that is not invariant as far as one likes.

Why it matters: Two models that give the same answers to every input must get the same explanation.
A map that depends on how the weights happen to be written down explains the file, not the model.

How to fix it: Build the map from what the function fixes: scores, features, attention
probabilities, gradients for pixels, or a state times its own gradient. Do not use queries, keys,
values or activations alone, their norms or their cosines, or single channels and heads by number.
The edits named in the finding show which of these the map depends on.

What a pass does not show: That the map is right: a map that ignores the model never moves either.
See P107 and P108.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Reference, Reparametrization, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import witness
from principles.limits import CheckLimits, Correlation, NotNegative, Share
from principles.unmodified_model import edit_figures as figures
from principles.unmodified_model import remedies
from principles.unmodified_model.map_movement import (
    MOVED,
    SIZELESS,
    Movement,
    movement_of,
    unmoved_verdict,
    unsteady_words,
)

_NO_EDIT = (
    "No edit of this model is known that keeps its function: its blocks are not known, and no "
    "layers were found of which one alone receives what another one gives."
)


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a change of maps is judged by; its gatherer goes by the first two."""

    relative_change: NotNegative = 1e-3  # of a map, up to which it has not moved
    noise_factor: NotNegative = 10.0  # times what a few roundings of the weights do to it, the same
    largest_limit: NotNegative = 0.1  # beyond such a limit a pair is not judged
    least_share: Share = 0.2  # of the pairs whose maps must have moved
    rank_correlation: Correlation = 0.9  # mean, below which a violation is an error

    def change(self, noise: Array) -> Array:
        """Change of each pair's map that is no finding."""
        return np.maximum(self.relative_change, self.noise_factor * np.asarray(noise))


def judge(
    reparametrization: Reparametrization, reference: Reference, roles: Roles, limits: Limits
) -> Finding:
    """Violated where an edit that keeps the scores moves the maps."""
    if roles.model_free:
        summary = "The explainer declares that it never looks at the model; no edit can move it."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    if not reparametrization.entries:
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=_NO_EDIT)
    most, least = limits.largest_limit, limits.least_share
    movement = movement_of(reparametrization, limits.change, most, least)
    if not movement.comparable:
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=unsteady_words(movement))
    if movement.of(MOVED):
        return _violation(movement, reference, roles, limits)
    verdict, summary = unmoved_verdict(movement)
    statistics = [figures.statistic(movement, limits.relative_change)]
    exact = "" if verdict is Verdict.PASS else "Audit with --dtype float64."
    return Finding(
        verdict=verdict,
        summary=summary,
        statistics=statistics,
        figures=[figures.table(movement)],
        remedy=exact,
    )


def _violation(movement: Movement, reference: Reference, roles: Roles, limits: Limits) -> Finding:
    found, moved = movement.found, movement.of(MOVED)
    least = limits.rank_correlation
    grave = any(e.edit not in SIZELESS and movement.correlation(e) < least for e in moved)
    worst = min(moved, key=lambda e: (e.edit in SIZELESS, movement.correlation(e)))
    row = int(np.argmax(np.where(movement.steady, worst.relative_l2, -1.0)))
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=Verdict.VIOLATION,
        severity=Severity.ERROR if grave else Severity.WARNING,
        summary=figures.words(movement, worst),
        detail=list(figures.sentences(movement)),
        statistics=[figures.statistic(movement, limits.relative_change)],
        samples=[pair],
        figures=[figures.table(movement), figures.maps(found, reference, worst, row)],
        witness=witness(roles, "P106", pair),
        remedy=remedies.of_edits([worst.edit, *(e.edit for e in moved)]),
    )


CHECK = Check(
    id="P106",
    name="invariant-to-reparametrization",
    title="Does the map stay put under edits that provably keep the model's function?",
    failure_title="The map moves although the model's function stays",
    severity=Severity.WARNING,
    reference="Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), implementation invariance; Cui "
    "and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
