"""How far maps leave the object for an absent class, and whether halves agree about it: P205."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Explanations, Reference, Roles, TextSpecificity
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from audit.trace.records import Array
from principles.performance_alignment.estimates import CONTROL_LEVEL, Measure, resamples_for
from principles.performance_alignment.reliability import Reliability, over_explainers

RESAMPLES = 2000


def difference_of(
    explanations: Explanations, other: TextSpecificity, name: str, roles: Roles
) -> Array:
    """Localization for a pair's own class minus that for an absent one, (pairs,)."""
    right = explanations.localization[name][roles.decides]
    return np.asarray(right - other.localization[name][roles.decides])


def reliability_of(
    differences: dict[str, Array], roles: Roles, reference: Reference, least: float
) -> Reliability:
    """Of the differences: do halves agree how far each explainer's maps leave the object?"""
    measure = Measure("text specificity", np.arange(len(reference.ids)), differences)
    return over_explainers(measure, roles, reference.cluster, least, reference.cluster_name)


def drop(difference: Array, picture: Array, level: float = CONTROL_LEVEL) -> Estimate:
    """Mean of paired differences, pictures being drawn."""
    rng = np.random.default_rng(0)
    return bootstrap_interval(
        difference,
        clusters=picture,
        rng=rng,
        resamples=resamples_for(RESAMPLES, level),
        level=level,
    )
