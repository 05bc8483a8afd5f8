"""How much worse what an explainer executes classifies than the model does: P204."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audit.evidence.kinds import Executed, Reference
from audit.result.finding import Finding, Verdict
from audit.result.wording import percent
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from audit.statistics.proportions import paired_proportion_difference
from principles.performance_alignment.estimates import resamples_for


def accuracy_drop(executed: Executed, reference: Reference, level: float) -> Estimate:
    """Executed minus model accuracy; grids of a set are drawn together.

    Without a test where the two never disagree, and zero for all pictures where what is executed is
    the model by what the trace shows.
    """
    drop = _drop(executed, reference, level)
    if executed.how == "model":
        return Estimate(0.0, 0.0, 0.0, level, drop.n)
    same = (executed.correct == executed.model_correct).all()
    return replace(drop, p=None) if same else drop


def _drop(executed: Executed, reference: Reference, level: float) -> Estimate:
    difference = executed.correct.astype(float) - executed.model_correct
    if reference.sets is None or not difference.any():
        return paired_proportion_difference(executed.correct, executed.model_correct, level)
    return bootstrap_interval(
        difference,
        clusters=reference.cluster_of_pictures,
        rng=np.random.default_rng(0),
        resamples=resamples_for(2000, level),
        level=level,
    )


def nothing_to_judge(executed: Executed, reference: Reference) -> Finding | None:
    """Where no score is exposed, or the model itself knows nothing."""
    if executed.how == "none":
        summary = "The explainer exposes no score, so what it executes cannot be asked to classify."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    if float(executed.model_correct.mean()) < 2 * reference.chance:
        summary = (
            f"The unmodified model is right on {percent(executed.model_correct.mean())} of the "
            f"pictures, chance is {percent(reference.chance)}: nothing can get worse."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    return None
