"""P108 agrees-with-interventions.

What it does: Removes parts of the picture and asks whether the map ranks first those whose removal
moves the unmodified model's score, better than maps that never look at the model. Removed are
windows of 2 by 2 patches, from the picture (occlusion) and from the middle blocks of the model
(removal patching; a blur of the picture where the blocks of the model are not known). A map's
agreement is the share of the effect that its top windows capture, over the first 5 to 30 % of the
windows: 0 for a random order, 1 for the best one, -1 for the worst. It is compared pair by pair
with the best map that never looks at the model. As some maps show where the score comes from and
others only where it is sensitive, the effect is taken with its sign and by its size, and a map that
leads in either sense passes: by an interval above zero and an estimate above half of what counts,
which is a tenth of the ceiling's lead. It is violated where in both senses the whole interval lies
below that tenth and the estimate below its half. The ceiling is what the other kind of
intervention captures as a map; with its sign the effect speaks only where a faithful control beats
the model-free maps.

Why it matters: The unmodified model itself says which patches matter. A map that an edge detector
matches is no explanation, however plausible it looks.

How to fix it: Compare the map with occlusion on a few pairs and look for the usual causes: a map
transposed, flipped or upsampled from the wrong grid, the class token's cell left in, the sign lost
by an absolute value or a ReLU, or another text's score. If the map is in place, use a signal that
is closer to the score: activations times their own gradients, or perturbation.

What a pass does not show: That the map is right in full. Removing patches shows pictures that the
model was not trained on, and no order of single windows shows how patches act together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Explanations, PatchEffects, Reference, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import number
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import ERROR_RATE
from principles.limits import CheckLimits, Correlation, ErrorRate, Share
from principles.unmodified_model import effect_figures as figures
from principles.unmodified_model import remedies
from principles.unmodified_model.effect_votes import SENSES, combined, vote_of
from principles.unmodified_model.misplacements import best_fit


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a lead over the model-free maps is judged by."""

    share_of_ceiling: Share = 0.1  # a lead below this share of the ceiling's is none
    least_ceiling: Correlation = 0.2  # below which two kinds of intervention hardly agree
    error_rate: ErrorRate = ERROR_RATE


def judge(
    effects: PatchEffects,
    explanations: Explanations,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where the map finds what matters no better than a map that ignores the model."""
    if not effects.null_difference <= effects.tolerance:
        summary = (
            f"Patching nothing must change nothing, but moved a feature by "
            f"{number(effects.null_difference)} (tolerated {number(effects.tolerance)})."
        )
        mend = "Audit with --dtype float64, or on a device that computes the same twice."
        return Finding(verdict=Verdict.ERROR, summary=summary, remedy=mend)
    if not np.isfinite(effects.ceiling).any():
        summary = f"Removing {effects.removed} moves no score here: there is nothing to be found."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    if len(np.unique(reference.cluster[effects.pairs])) < 2:
        summary = "One picture shows its effects below, but allows no verdict: audit more pairs."
        figure = figures.maps(effects, reference, explanations, roles, 0)
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, figures=[figure])
    drawn = effects.token_maps if effects.of_tokens else explanations.maps[roles.audited]
    if not np.ptp(drawn, axis=(1, 2)).any():
        summary = "The map is constant on every pair: it ranks no part of it above another."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    gates = limits.share_of_ceiling, limits.least_ceiling, limits.error_rate
    votes = {sense: vote_of(effects, reference, roles, sense, *gates) for sense in SENSES}
    verdict = combined([vote.verdict for vote in votes.values()])
    order = sorted(votes, key=lambda sense: votes[sense].verdict is not verdict)
    violated = verdict is Verdict.VIOLATION
    parts = "tokens" if effects.of_tokens else "windows"
    row = _worst(effects, roles)
    pair = reference.ids[int(effects.pairs[row])]
    return Finding(
        verdict=verdict,
        summary=next(vote.why for vote in votes.values() if vote.verdict is verdict),
        detail=[*(vote.why for vote in votes.values()), *([effects.note] if effects.note else [])],
        statistics=[figures.statistic(votes[sense], sense) for sense in order],
        samples=[pair] if violated else [],
        figures=[
            *(figures.bars(vote, sense, parts) for sense, vote in votes.items()),
            figures.maps(effects, reference, explanations, roles, row),
        ],
        witness=witness(roles, "P108", pair, alone=False) if violated else None,
        remedy=remedies.of_effects(pair, _fit(effects, explanations, roles)) if violated else "",
    )


def _fit(effects: PatchEffects, explanations: Explanations, roles: Roles) -> str:
    """Which mistake of placing a map of a picture would explain it; tokens have no such places."""
    return "" if effects.of_tokens else best_fit(effects, explanations, roles)


def _worst(effects: PatchEffects, roles: Roles) -> int:
    """The pair whose map captures the least of the effect."""
    values = effects.agreement[roles.audited].mean(0)
    return int(np.where(np.isnan(values), np.inf, values).argmin())


CHECK = Check(
    id="P108",
    name="agrees-with-interventions",
    title="Does the map find the patches whose removal moves the score?",
    failure_title="The map finds what matters to the model no better than a model-free map",
    severity=Severity.ERROR,
    reference="Samek et al. 2017 (arXiv 1509.06321); Izadi et al. 2026 (arXiv 2603.13652)",
    judge=judge,
)
