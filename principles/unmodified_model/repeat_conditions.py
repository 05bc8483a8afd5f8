"""Under which conditions a pair's map changed, and what that says of the explainer: P109."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Repeatability
from audit.trace.records import Array

ITSELF = "beside itself"


def again(condition: str) -> bool:
    """Whether it is the same call once more."""
    return condition.startswith("again")


def dependence(conditions: list[str]) -> str:
    """What a map depends on that changes under some conditions."""
    if any(again(name) for name in conditions):
        return "differs from run to run, which the explainer does not declare"
    if ITSELF in conditions:
        return (
            "depends on its place in the batch, as random numbers drawn for a whole batch do that "
            "are not declared"
        )
    return "depends on what else is in the batch"


def allowed_changes(
    found: Repeatability, noise_factor: float, repeat_factor: float, *, stochastic: bool
) -> Array:
    """Change of each map that is no finding, (conditions, pairs).

    Rounding of the weights explains changes in other company, never those of the same call.

    Args:
        found: the changes, and what null controls changed in the same run.
        noise_factor: times what a control, or a few roundings of the weights, change.
        repeat_factor: times what the explainer's own repeats change, where it is stochastic.
        stochastic: whether it declares that it draws random numbers.
    """
    control = float(found.control.max(initial=0.0))
    least = max(noise_factor * control, float(np.sqrt(found.resolution)))
    own = repeat_factor * found.repeats.max(0) if stochastic else noise_factor * found.noise
    company = np.maximum(least, own)
    same = company if stochastic else np.full_like(own, least)
    return np.stack([same if again(what) else company for what in found.conditions])
