"""What each sense of an effect says of the maps: with its sign, and by its size: P108."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit.evidence.kinds import PatchEffects, Reference, Roles
from audit.result.finding import Verdict
from audit.result.wording import counted, number
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference
from audit.trace.records import Array
from principles.finding_parts import interval_words
from principles.indifference import Zone, level_of

Sense = Literal["signed", "unsigned"]
SENSES: dict[Sense, str] = {"signed": "effect", "unsigned": "size of the effect"}


@dataclass(frozen=True)
class Vote:
    """What one sense of the effect says.

    Attributes:
        verdict: of this sense alone.
        why: in words.
        rival: the best model-free map.
        lead: over it, at the level of the verdict.
        zone: of the lead.
        means: what each map captures of the effect.
    """

    verdict: Verdict
    why: str
    rival: str
    lead: Estimate
    zone: Zone
    means: dict[str, float]


def vote_of(
    found: PatchEffects,
    reference: Reference,
    roles: Roles,
    sense: Sense,
    share_of_ceiling: float,
    least_ceiling: float,
    rate: float,
) -> Vote:
    """Whether the map leads the best model-free one, where ceiling and control let that be told.

    A lead in either sense passes, so that the two share the error rate; to be accused a map has to
    fail in both, each at the whole rate.

    Args:
        found: the effects, and what each map captures of them.
        reference: of the pairs.
        roles: which explainer is which.
        sense: of the effect.
        share_of_ceiling: lead, as a share of the ceiling's, below which it is none.
        least_ceiling: below which two kinds of intervention hardly agree.
        rate: of each kind of wrong verdict.
    """
    table = found.agreement if sense == "signed" else found.unsigned_agreement
    ceiling = found.ceiling if sense == "signed" else found.unsigned_ceiling
    agreement = {name: values.mean(0) for name, values in table.items()}
    means = {name: float(np.nanmean(values)) for name, values in agreement.items()}
    negative, positive = found.model_free or roles.negative, found.faithful or roles.positive
    rival = max((n for n in negative if n in agreement), key=lambda n: means[n])
    clusters = reference.cluster[found.pairs]
    top = _lead(ceiling.mean(0), agreement[rival], clusters)
    zone = Zone(0.0, share_of_ceiling * top.value)
    means["ceiling"] = float(np.nanmean(ceiling))
    levels = {Verdict.PASS: level_of(rate / len(SENSES)), Verdict.VIOLATION: level_of(rate)}
    leads = {
        v: _lead(agreement[roles.audited], agreement[rival], clusters, level)
        for v, level in levels.items()
    }
    verdict = next((v for v, one in leads.items() if zone.decide(one) is v), Verdict.INCONCLUSIVE)
    lead = leads.get(verdict, leads[Verdict.PASS])
    why = _words(verdict, lead, zone, sense, rival, reference.cluster_name, found.removed)
    if not top.above(0) or means["ceiling"] < least_ceiling:
        verdict, why = Verdict.INCONCLUSIVE, _low_ceiling(means, rival, sense)
    elif sense == "signed" and verdict is not Verdict.PASS:
        faithful = [n for n in positive if n in agreement and n != roles.audited]
        known = [_lead(agreement[n], agreement[rival], clusters) for n in faithful]
        if known and not any(one.above(0) for one in known):
            verdict, why = Verdict.INCONCLUSIVE, _weak_control(faithful[0], means, rival, sense)
    return Vote(verdict, why, rival, lead, zone, means)


def _lead(one: Array, other: Array, clusters: Array, level: float = 0.95) -> Estimate:
    rng = np.random.default_rng(0)
    return paired_difference(one, other, clusters=clusters, rng=rng, level=level)


def _words(
    verdict: Verdict, lead: Estimate, zone: Zone, sense: Sense, rival: str, unit: str, parts: str
) -> str:
    words = f"lead over {rival} {interval_words(lead)}, {counted(lead.n, unit)}"
    what = f"the {SENSES[sense]} of removing {parts}"
    if verdict is Verdict.PASS:
        return f"The map finds {what} better than any model-free map ({words})."
    if verdict is Verdict.VIOLATION:
        return (
            f"The map finds {what} no better than a map that never looks at the model ({words})."
            f"{zone.faint_words(lead)}"
        )
    return f"The map may or may not find {what} better than a model-free map ({words})."


def _low_ceiling(means: dict[str, float], rival: str, sense: Sense) -> str:
    return (
        f"Two kinds of intervention hardly agree on the {SENSES[sense]} here (ceiling "
        f"{number(means['ceiling'])}, {rival} {number(means[rival])}): nothing can be said."
    )


def _weak_control(name: str, means: dict[str, float], rival: str, sense: Sense) -> str:
    return (
        f"The faithful control {name} ({number(means[name])}) does not beat the model-free map "
        f"{rival} ({number(means[rival])}) on the {SENSES[sense]}: no verdict on other maps."
    )


def combined(verdicts: list[Verdict]) -> Verdict:
    """Better in either sense passes, no better in both fails."""
    if Verdict.PASS in verdicts:
        return Verdict.PASS
    if verdicts == [Verdict.VIOLATION, Verdict.VIOLATION]:
        return Verdict.VIOLATION
    return Verdict.INCONCLUSIVE
