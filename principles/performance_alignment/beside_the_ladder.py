"""What P201 says beside its verdict: what to do, and where other models stand."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import OtherModels, Reference, Roles
from audit.result.finding import Finding
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.ladder_figure import other_models_figure
from principles.performance_alignment.rung_quality import RungQuality, rung_measures


def ladder_remedy(measure: RungQuality, roles: Roles) -> str:
    """What to do, by the rung of the lowest accuracy that has a quality."""
    quality, accuracy = measure.of(roles.audited)[0], measure.correct.mean(1)
    last = int(np.where(np.isfinite(quality), accuracy, np.inf).argmin())
    both = (
        (float(quality[0]), float(quality[last])),
        (float(accuracy[0]), float(accuracy[last])),
    )
    return remedies.of_ladder(measure.rungs[last].name, *both)


def with_other_models(
    finding: Finding, given: OtherModels, reference: Reference, roles: Roles
) -> Finding:
    """The finding, with other models that were given shown beside the ladder."""
    there = rung_measures(given.ladder, given.faithfulness, reference).values()
    measured = [m for m in there if roles.audited in m.values and m.rungs_with(roles.audited) > 1]
    failed = [
        f"On {name} the maps could not be measured: {why}." for name, why in given.failures.items()
    ]
    figures = [*finding.figures, *(other_models_figure(m, roles) for m in measured)]
    return finding.model_copy(update={"figures": figures, "detail": [*finding.detail, *failed]})
