"""P107 depends-on-model.

What it does: Draws all parameters of the model anew (class token, positions, every projection and
norm included), from the readout of the image tower down to its embedding and then the text tower,
and compares the maps with those of the unmodified model by absolute rank correlation. The map
survives where its likeness at the end exceeds both a half and what the explainer's maps of
different pictures share, by an estimate beyond that limit and an interval over pictures that leaves
the zone of 0.1 on its other side; or where it has not changed at all.
Every parameter must have been reached, a faithful control must change, and the explainer must
agree with itself on an equal copy; else nothing is said.

Why it matters: A map that a model of random numbers gets as well shows nothing that this model has
learned: it is a property of the picture, like an edge detector's.

How to fix it: Make the map depend on what the model computes: weigh activations by gradients of the
score, or compare scores with parts of the picture removed. Where the map comes mostly from edges,
positions or one early layer, use later blocks and leave out multiplication by the picture. If the
method never looks at the model by design, declare `model_free = True` and do not call it an
explanation.

What a pass does not show: That the map is right, or that it depends on the right parts of the
model. Inverted maps and noise that is seeded by the weights pass too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import Randomization, Reference, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import number, percent
from audit.statistics.estimate import Estimate
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import ERROR_RATE, Zone, level_of
from principles.limits import CheckLimits, ErrorRate, NotNegative, Share
from principles.unmodified_model import map_likeness as likeness
from principles.unmodified_model import remedies


@dataclass(frozen=True)
class Limits(CheckLimits):
    """Likeness above which a map has survived, and outright, whatever unrelated maps share."""

    survives: Share = 0.5
    survives_outright: Share = 0.9
    indifference: NotNegative = 0.1  # around it, where either verdict would do
    unchanged: NotNegative = 1e-3  # relative change, up to which it is the same map
    error_rate: ErrorRate = ERROR_RATE


def judge(
    randomization: Randomization, reference: Reference, roles: Roles, limits: Limits
) -> Finding:
    """Violated where the map survives full randomization."""
    found = randomization
    reached = float(found.reached.min())
    if reached < 1:
        summary = f"Expected every parameter to be drawn anew, reached {percent(reached)} of them."
        mend = "Report the model's class: the audit does not know how to draw all of it anew."
        return Finding(verdict=Verdict.ERROR, summary=summary, remedy=mend)
    level = level_of(limits.error_rate)
    final = likeness.of_stage(found, reference, roles.audited, -1, level)
    limit = likeness.survival_limit(found, limits.survives, limits.survives_outright)
    zone = Zone(-limit - limits.indifference, -limit + limits.indifference)
    verdict, summary = _verdict(found, reference, roles, final, zone, limits.unchanged)
    if verdict is Verdict.VIOLATION and roles.random_weights:
        verdict = Verdict.INCONCLUSIVE
        summary = (
            "The weights of the model are random, as asked for, and drawn anew they are random "
            f"again: {likeness.words(final, zone, reference.cluster_name)}. Audit a trained model."
        )
    violated = verdict is Verdict.VIOLATION
    row = int(found.similarity[roles.audited][-1].mean(0).argmax())
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=verdict,
        summary=summary,
        statistics=[likeness.statistic(final, zone)],
        samples=[pair] if violated else [],
        figures=likeness.figures(found, reference, roles, limit, row),
        witness=witness(roles, "P107", pair) if violated else None,
        remedy=_remedy(found, roles, limit, limits.unchanged) if violated else "",
    )


def _remedy(found: Randomization, roles: Roles, limit: float, unchanged: float) -> str:
    """What to do, by the last stage at which the map still stood."""
    likenesses = found.similarity[roles.audited].mean((1, 2))
    standing = [s for s, v in zip(found.stages, likenesses, strict=True) if v >= limit]
    same = bool((found.change <= unchanged).all())
    return remedies.of_survival(standing[-1] if standing else found.stages[-1], same=same)


def _verdict(
    found: Randomization,
    reference: Reference,
    roles: Roles,
    final: Estimate,
    zone: Zone,
    unchanged: float,
) -> tuple[Verdict, str]:
    limit = -zone.middle
    words = likeness.words(final, zone, reference.cluster_name)
    if bool((found.change <= unchanged).all()):
        return Verdict.VIOLATION, (
            "The map survives: with every parameter of the model drawn anew it is the same map."
        )
    if not np.isfinite(final.low):
        return Verdict.INCONCLUSIVE, f"One picture allows no verdict, audit more pairs: {words}."
    for name in set(found.similarity) - {roles.audited}:
        control = likeness.of_stage(found, reference, name, -1)
        if not control.value < limit:
            return Verdict.INCONCLUSIVE, (
                f"The faithful control {name} survives full randomization as well (likeness "
                f"{number(control.value)}): this model and data allow no verdict."
            )
    depends = replace(final, value=-final.value, low=-final.high, high=-final.low)
    verdict = zone.decide(depends)
    if verdict is Verdict.VIOLATION:
        return verdict, f"The map survives full randomization of the model: {words}."
    itself = likeness.of_stage(found, reference, roles.audited, 0)
    if not itself.low > max(limit, final.high):
        return Verdict.INCONCLUSIVE, (
            f"Two runs on the same model agree no better (likeness {number(itself.value)}) than "
            "runs on different ones may: the explainer's own randomness hides the answer."
        )
    does = "does not" if verdict is Verdict.PASS else "may or may not"
    return verdict, f"The map {does} survive full randomization of the model: {words}."


CHECK = Check(
    id="P107",
    name="depends-on-model",
    title="Does the map change when all parameters of the model are drawn anew?",
    failure_title="The map survives full randomization of the model",
    severity=Severity.ERROR,
    reference="Adebayo et al. 2018 (arXiv 1810.03292), cascading randomization",
    judge=judge,
)
