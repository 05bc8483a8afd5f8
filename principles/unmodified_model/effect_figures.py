"""What the maps capture of the effects of removing patches, as number and pictures: P108."""

from __future__ import annotations

from audit.evidence.kinds import Explanations, PatchEffects, Reference, Roles
from audit.result.figures import BarsFigure, PairFigure
from audit.result.numbers import Interval, Statistic
from principles.finding_parts import finite, pair_figure
from principles.unmodified_model.effect_votes import SENSES, Sense, Vote


def statistic(vote: Vote, sense: Sense) -> Statistic:
    """The lead over the best model-free map."""
    lead = vote.lead
    return Statistic(
        name=f"lead over the best model-free map ({SENSES[sense]} captured)",
        value=finite(lead.value),
        interval=Interval(low=finite(lead.low), high=finite(lead.high), level=lead.level),
        threshold=vote.zone.end(lead.value),
        good_side="above",
        none=vote.zone.none,
        clear=vote.zone.clear,
        n=lead.n,
        smallest_visible_effect=finite((lead.high - lead.low) / 2),
    )


def bars(vote: Vote, sense: Sense, parts: str) -> BarsFigure:
    """What each map captures, beside the ceiling."""
    order = sorted(vote.means, key=lambda name: -vote.means[name])
    return BarsFigure(
        title=f"Share of the {SENSES[sense]} captured by the map's top {parts}",
        caption="0 is a random order, 1 the best, -1 the worst; mean over pairs and both kinds of "
        "intervention. The ceiling is one kind of intervention, taken as a map of the other.",
        labels=order,
        values=[finite(vote.means[name]) for name in order],
        limit=finite(vote.means[vote.rival]),
        good_side="above",
    )


def maps(
    found: PatchEffects, reference: Reference, explanations: Explanations, roles: Roles, row: int
) -> PairFigure:
    """The audited map of a pair beside its effects."""
    effects = list(zip(found.kinds, found.effects[:, row], strict=True))
    index = int(found.pairs[row])
    own = found.token_maps[row] if found.of_tokens else explanations.maps[roles.audited][index]
    ours, part = (roles.audited, own), "token" if found.of_tokens else "patch"
    return pair_figure(
        reference,
        index,
        f"The map, and what each {part} does to the score",
        f"The pair with the least agreement. Effects are drops of the score when the {part} is "
        "removed; negative ones speak against the target.",
        [ours, *effects],
    )
