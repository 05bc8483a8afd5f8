"""How far maps lead model-free ones in telling right pairs from wrong ones: P202."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Roles
from audit.statistics.adjusted_area import area_draws
from audit.statistics.bootstrap import Draws
from audit.statistics.proportions import auroc
from audit.trace.records import Array
from principles.indifference import Zone
from principles.performance_alignment.rivals import Lead, lead_over
from principles.performance_alignment.sample_tables import SampleTable

RESAMPLES = 2000
CHANCE = "no relation"


def leads(
    table: SampleTable,
    name: str,
    *,
    roles: Roles,
    none: float,
    zone: Zone,
    rate: float,
) -> Lead:
    """Adjusted area of an explainer's maps over that of each model-free map, and over none.

    A model-free map that is audited itself is among its rivals: it leads itself by nothing.

    Args:
        table: of the pairs.
        name: of the explainer.
        roles: which explainer is which.
        none: area of no relation.
        zone: of a lead.
        rate: of each kind of wrong verdict.
    """
    mine = table.adjusted(name, roles)
    rivals = {
        n: mine if n == name else table.adjusted(n, roles, name)
        for n in roles.negative
        if n in table.measure.values
    }

    def over(resamples: int) -> dict[str, Draws]:
        areas = area_draws(
            {CHANCE: mine} | rivals,
            table.right,
            clusters=table.cluster,
            rng=np.random.default_rng(0),
            resamples=resamples,
        )
        own = areas[CHANCE]
        return {CHANCE: own - none} | {n: own - areas[n] for n in rivals}

    return lead_over(1 + len(rivals), over, zone, rate, RESAMPLES)


def area_under_curve(scores: Array, right: Array) -> float:
    """Share of right pairs that score above wrong ones."""
    return float(auroc(np.stack([scores, right], 1), np.ones((1, len(right))))[0])
