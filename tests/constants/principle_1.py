"""Cases for the constants of principle 1."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from audit.evidence.effects import NULL_FACTOR
from audit.evidence.kinds import Evidence, Explanations, Roles
from audit.interventions.function_preserving import tolerance
from tests.constants.row import judged, verdict
from tests.principles import test_p106 as p106
from tests.principles import test_p107 as p107
from tests.principles import test_p108 as p108
from tests.principles import test_p109 as p109
from tests.principles import traces
from tests.principles.alignment import made

PAIRS = 12
OURS = Roles("ours", ("faithful",), ("random", "edges"), None, True, False, False)


def _evidence(*, stochastic: bool = False, **kinds: object) -> Evidence:
    roles = replace(OURS, stochastic=stochastic)
    base = made({"ours": np.zeros(PAIRS)}, per_picture=1, roles=roles)
    return replace(base, **kinds)


def _traced(tolerance: float = traces.TOLERANCE, **changed: object) -> Evidence:
    found = traces.evidence(traces.trace(**changed))
    return _evidence(trace=replace(found, tolerance=tolerance))


def altered_attention(variants: int) -> str:
    """Attention of the model's own heads, altered so often beside a clean pass."""
    return verdict(
        "P105", _traced(attention=(traces.attention(executed_heads=4, variants=variants),))
    )


def altered_pictures(variants: int) -> str:
    """So many altered pictures around the given one, which is not among them."""
    around = traces.entered(
        given_rows=0, distinct_rows=variants, surrounds_given=True, smallest_difference=0.1
    )
    return verdict("P103", _traced(passes=(around, traces.entered("text"))))


def _unclear_score(error: float, tolerance: float) -> Evidence:
    scalar = traces.scalar(0.3 + error, clean=False, reasons=("own code",), error=error)
    return _traced(tolerance, scalars=(scalar,))


def score_error(error: float) -> str:
    """A score so far from the model's, where nothing explains a difference."""
    return verdict("P104", _unclear_score(error, 0.0))


def known_to(tolerance: float) -> str:
    """A score that equals the model's, which is known only so well."""
    return verdict("P104", _unclear_score(0.0, tolerance))


def _edited(*entries: object, noise: object = 1e-6, **changed: object) -> Evidence:
    return _evidence(reparametrization=replace(p106.evidence(*entries, noise=noise), **changed))


def moved_by(change: float) -> str:
    """An edit that moves the maps so far."""
    return verdict("P106", _edited(p106.entry(change=change)))


def moved_by_times_its_noise(factor: float) -> str:
    """The same in units of what roundings do, where that is more than the least change."""
    return verdict("P106", _edited(p106.entry(change=factor * 1e-3), noise=1e-3))


def limit_by_noise(limit: float) -> str:
    """A map so noisy that a change up to this limit is no finding."""
    return verdict("P106", _edited(p106.entry(), noise=limit / 10))


def share_of_moved_pairs(share: float) -> str:
    """An edit that moves this share of the maps."""
    change = np.where(np.arange(p106.N) < round(share * p106.N), 0.5, 1e-6)
    return verdict("P106", _edited(p106.entry(change=change)))


def share_of_steady_pairs(share: float) -> str:
    """Maps of which only this share is steady enough to be judged."""
    noise = np.where(np.arange(p106.N) < round(share * p106.N), 1e-6, 0.5)
    return verdict("P106", _edited(p106.entry(), noise=noise))


def severity_of_correlation(correlation: float) -> str:
    """How severe an edit is after which the maps are so alike."""
    found = judged("P106", _edited(p106.entry(change=0.5, correlation=correlation)))
    return str(found.severity.value)


def proof_in(dtype: torch.dtype, score_change: float) -> str:
    """An edit that moves the scores so far."""
    edited = _edited(p106.entry(score_change=score_change), tolerance=tolerance(dtype))
    return verdict("P106", edited)


def likeness(final: float, **other: object) -> str:
    """Maps that are so alike after full randomization."""
    return verdict("P107", _evidence(randomization=p107.evidence(final, 0.0, **other)))


def likeness_of_maps_all_alike(final: float) -> str:
    """The same where maps of different pictures are all but equal."""
    return likeness(final, unrelated=np.full(50, 0.99))


def change_by_randomization(change: float) -> str:
    """Maps that change so little, whatever their ranks say."""
    return likeness(0.1, change=np.full((2, p107.N), change))


def _effects(found: object) -> Evidence:
    return _evidence(effects=found, explanations=Explanations({"ours": p108.MAPS}, {}))


def likeness_up_to(beyond: float) -> str:
    """Maps below the limit whose interval ends so far beyond it."""
    wide = lambda spread: _evidence(randomization=p107.evidence(0.45, spread))  # noqa: E731
    reach = judged("P107", wide(0.1)).statistics[0].interval.high - 0.45
    return verdict("P107", wide(0.1 * (0.05 + beyond) / reach))


def error_rate_of_likeness(rate: float) -> str:
    """The interval of data at a rate ends on the end of the zone."""
    found = _evidence(randomization=p107.evidence(0.45, 0.2))
    high = judged("P107", found, error_rate=rate).statistics[0].interval.high
    return verdict("P107", found, indifference=high - 0.5)


def _leading(by: float, spread: float) -> Evidence:
    """A map whose captured effects lead those of the edges, 0.1, by so much."""
    return _effects(p108.evidence(0.1 + by, spread=spread - 1))


def lead_up_to_a_share_of_the_ceilings(share: float) -> str:
    """A lead of zero whose interval ends at this share of the ceiling's lead."""
    reach = judged("P108", _leading(0.0, 0.5)).statistics[0].interval.high
    ceilings_lead = 0.9 - 0.1
    return verdict("P108", _leading(0.0, 0.5 * share * ceilings_lead / reach))


def error_rate_of_leads(rate: float) -> str:
    """The interval of a lead at a rate ends on zero."""
    noise = 0.2 * np.random.default_rng(0).normal(size=p108.N)

    def build(lead: float) -> Evidence:
        found = p108.evidence(0.1)
        ours = {"ours": np.stack([0.1 + lead + noise + 0.05] * 2)}
        return _effects(
            replace(
                found,
                agreement=found.agreement | ours,
                unsigned_agreement=found.unsigned_agreement | ours,
            )
        )

    low = judged("P108", build(0.3), error_rate=rate).statistics[0].interval.low
    return verdict("P108", build(0.3 - low))


def ceiling(height: float) -> str:
    """A good map where two kinds of intervention agree only so much."""
    return verdict("P108", _effects(p108.evidence(0.5, ceiling=height)))


def patching_nothing(epsilons: float) -> str:
    """A probe that changes the features by so many roundings where it patches nothing."""
    eps = torch.finfo(torch.float32).eps
    found = p108.evidence(0.5, null_difference=epsilons * eps, tolerance=NULL_FACTOR * eps)
    return verdict("P108", _effects(found))


def _repeated(*, stochastic: bool = False, **given: object) -> str:
    found = _evidence(repeatability=p109.evidence(**given), stochastic=stochastic)
    return verdict("P109", found)


def company_times_noise(factor: float) -> str:
    """Maps that change in company by so many times what roundings do."""
    return _repeated(company=factor * 5e-3, noise=5e-3)


def limit_of_repeats(limit: float) -> str:
    """Maps so noisy that a change up to this limit is no finding."""
    return _repeated(noise=limit / 10)


def company_times_repeats(factor: float) -> str:
    """A stochastic explainer whose maps change in company by so many times its own repeats."""
    return _repeated(again=0.1, company=factor * 0.1, stochastic=True)


def share_of_stochastic_pairs(share: float) -> str:
    """A stochastic explainer of which this share of the maps changes."""
    company = np.where(np.arange(p109.N) < round(share * p109.N), 0.5, 1e-6)
    return _repeated(company=company, stochastic=True)


PROOFS = {
    str(dtype): partial(proof_in, dtype)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}
