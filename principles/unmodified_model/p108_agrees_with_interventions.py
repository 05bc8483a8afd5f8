"""P108 agrees-with-interventions.

What it does: Removes windows of 2 by 2 patches from the picture (occlusion) and from the middle
blocks of the model (removal patching), and asks how much of the effect on the score the map's top
windows capture, over the first 5 to 30 % of the windows: 0 for a random order, 1 for the best one,
-1 for the worst. The map is compared pair by pair with the best map that never looks at the model.
As some maps show where the score comes from and others only where it is sensitive, the effect is
taken with its sign and by its size, and a map that beats the model-free ones in either sense
passes. It is violated where the map leads by less than a tenth of the ceiling's lead, with its
whole interval, in both senses. The ceiling is what the other kind of intervention captures as a
map; with its sign the effect speaks only where a faithful control beats the model-free maps.

Why it matters: The unmodified model itself says which patches matter. A map that an edge detector
matches is no explanation, however plausible it looks.

What a pass does not show: That the map is right in full. Removing patches shows pictures that the
model was not trained on, and no order of single windows shows how patches act together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit.evidence.kinds import Evidence, PatchEffects, Reference, Roles
from audit.result.schema import (
    BarsFigure,
    Finding,
    Interval,
    PairFigure,
    Severity,
    Statistic,
    Verdict,
)
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference
from audit.trace.records import Array
from principles.check import Check, Thresholds
from principles.finding_parts import finite, number, pair_figure, plural, witness

Sense = Literal["signed", "unsigned"]
_WORDS: dict[Sense, str] = {"signed": "effect", "unsigned": "size of the effect"}


@dataclass(frozen=True)
class _Vote:
    """What one sense of the effect says."""

    verdict: Verdict
    why: str
    rival: str
    lead: Estimate
    margin: float
    means: dict[str, float]


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where the map finds what matters no better than a map that ignores the model."""
    found, reference, roles = evidence.effects, evidence.reference, evidence.roles
    assert found is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    if not found.null_difference <= found.tolerance:
        summary = (
            f"Patching nothing must change nothing, but moved a feature by "
            f"{number(found.null_difference)} (tolerated {number(found.tolerance)})."
        )
        return Finding(verdict=Verdict.ERROR, summary=summary)
    if not np.isfinite(found.ceiling).any():
        summary = "Removing patches moves no score here: there is no effect to be found."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    if len(np.unique(reference.picture[found.pairs])) < 2:
        summary = "One picture shows its effects below, but allows no verdict: audit more pairs."
        figure = _maps_figure(found, reference, evidence, 0)
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, figures=[figure])
    maps = evidence.explanations
    if maps is not None and not np.ptp(maps.maps[roles.audited], axis=(1, 2)).any():
        summary = "The map is constant on every picture: it ranks no patch above another."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    votes = [_vote(found, reference, roles, sense, thresholds) for sense in _WORDS]
    verdict = _combined(votes)
    speaker = next(vote for vote in votes if vote.verdict is verdict)
    row = _worst(found, roles)
    pair = reference.ids[int(found.pairs[row])]
    violated = verdict is Verdict.VIOLATION
    return Finding(
        verdict=verdict,
        summary=speaker.why,
        detail=[vote.why for vote in votes],
        statistics=[_statistic(v, s) for v, s in zip(votes, _WORDS, strict=True)],
        samples=[pair] if violated else [],
        figures=[
            *(_bars(v, s) for v, s in zip(votes, _WORDS, strict=True)),
            _maps_figure(found, reference, evidence, row),
        ],
        witness=witness(roles, "P108", pair, alone=False) if violated else None,
    )


def _vote(
    found: PatchEffects, reference: Reference, roles: Roles, sense: Sense, thresholds: Thresholds
) -> _Vote:
    table = found.agreement if sense == "signed" else found.unsigned_agreement
    ceiling = found.ceiling if sense == "signed" else found.unsigned_ceiling
    agreement = {name: values.mean(0) for name, values in table.items()}
    means = {name: float(np.nanmean(values)) for name, values in agreement.items()}
    rival = max((n for n in roles.negative if n in agreement), key=lambda n: means[n])
    clusters = reference.picture[found.pairs]
    top = _lead(ceiling.mean(0), agreement[rival], clusters)
    lead = _lead(agreement[roles.audited], agreement[rival], clusters)
    margin = float(thresholds["share_of_ceiling"]) * top.value
    means["ceiling"] = float(np.nanmean(ceiling))
    verdict, why = _speaks(lead, margin, sense, rival)
    if not top.above(0) or means["ceiling"] < float(thresholds["least_ceiling"]):
        verdict, why = Verdict.INCONCLUSIVE, _low_ceiling(means, rival, sense)
    elif sense == "signed" and verdict is not Verdict.PASS:
        faithful = [n for n in roles.positive if n in agreement and n != roles.audited]
        leads = [_lead(agreement[n], agreement[rival], clusters) for n in faithful]
        if leads and not any(one.above(0) for one in leads):
            verdict, why = Verdict.INCONCLUSIVE, _weak_control(faithful[0], means, rival, sense)
    return _Vote(verdict, why, rival, lead, margin, means)


def _lead(one: Array, other: Array, clusters: Array) -> Estimate:
    return paired_difference(one, other, clusters=clusters, rng=np.random.default_rng(0))


def _speaks(lead: Estimate, margin: float, sense: Sense, rival: str) -> tuple[Verdict, str]:
    words = (
        f"lead over {rival} {number(lead.value)}, 95 % interval {number(lead.low)} to "
        f"{number(lead.high)}, {plural(lead.n, 'picture')}"
    )
    what = f"the {_WORDS[sense]} of removing patches"
    if lead.above(0):
        return Verdict.PASS, f"The map finds {what} better than any model-free map ({words})."
    if lead.below(margin):
        return (
            Verdict.VIOLATION,
            f"The map finds {what} no better than a map that never looks at the model ({words}).",
        )
    return (
        Verdict.INCONCLUSIVE,
        f"The map may or may not find {what} better than a model-free map ({words}).",
    )


def _low_ceiling(means: dict[str, float], rival: str, sense: Sense) -> str:
    return (
        f"Two kinds of intervention hardly agree on the {_WORDS[sense]} here (ceiling "
        f"{number(means['ceiling'])}, {rival} {number(means[rival])}): nothing can be said."
    )


def _weak_control(name: str, means: dict[str, float], rival: str, sense: Sense) -> str:
    return (
        f"The faithful control {name} ({number(means[name])}) does not beat the model-free map "
        f"{rival} ({number(means[rival])}) on the {_WORDS[sense]}: no verdict on other maps."
    )


def _combined(votes: list[_Vote]) -> Verdict:
    """Better in either sense passes, no better in both fails."""
    verdicts = [vote.verdict for vote in votes]
    if Verdict.PASS in verdicts:
        return Verdict.PASS
    if verdicts == [Verdict.VIOLATION, Verdict.VIOLATION]:
        return Verdict.VIOLATION
    return Verdict.INCONCLUSIVE


def _worst(found: PatchEffects, roles: Roles) -> int:
    values = found.agreement[roles.audited].mean(0)
    return int(np.where(np.isnan(values), np.inf, values).argmin())


def _statistic(vote: _Vote, sense: Sense) -> Statistic:
    lead = vote.lead
    return Statistic(
        name=f"lead over the best model-free map ({_WORDS[sense]} captured)",
        value=finite(lead.value),
        interval=Interval(low=finite(lead.low), high=finite(lead.high), level=lead.level),
        threshold=0.0,
        good_side="above",
        n=lead.n,
        smallest_visible_effect=finite((lead.high - lead.low) / 2),
    )


def _bars(vote: _Vote, sense: Sense) -> BarsFigure:
    order = sorted(vote.means, key=lambda name: -vote.means[name])
    return BarsFigure(
        title=f"Share of the {_WORDS[sense]} captured by the map's top windows",
        caption="0 is a random order, 1 the best, -1 the worst; mean over pairs and both kinds of "
        "intervention. The ceiling is one kind of intervention, taken as a map of the other.",
        labels=order,
        values=[finite(vote.means[name]) for name in order],
        limit=finite(vote.means[vote.rival]),
        good_side="above",
    )


def _maps_figure(
    found: PatchEffects, reference: Reference, evidence: Evidence, row: int
) -> PairFigure:
    maps = list(zip(found.kinds, found.effects[:, row], strict=True))
    index = int(found.pairs[row])
    if evidence.explanations is not None:
        name = evidence.roles.audited
        maps = [(name, evidence.explanations.maps[name][index]), *maps]
    return pair_figure(
        reference,
        index,
        "The map, and what each patch does to the score",
        "The pair with the least agreement. Effects are drops of the score when the patch is "
        "removed; negative ones speak against the text.",
        maps,
    )


CHECK = Check(
    id="P108",
    name="agrees-with-interventions",
    title="Does the map find the patches whose removal moves the score?",
    failure_title="The map finds what matters to the model no better than a model-free map",
    severity=Severity.ERROR,
    needs=frozenset({"effects", "explanations", "reference"}),
    thresholds={"share_of_ceiling": 0.1, "least_ceiling": 0.2},
    reference="Samek et al. 2017 (arXiv 1509.06321); Izadi et al. 2026 (arXiv 2603.13652)",
    judge=judge,
)
