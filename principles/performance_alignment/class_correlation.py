"""The rank correlation over classes that P203 judges, and the least that counts."""

from __future__ import annotations

from audit.evidence.kinds import Roles
from audit.statistics.estimate import Estimate
from audit.statistics.partial_correlation import partial_spearman
from principles.performance_alignment.classes import Classes, left_of
from principles.performance_alignment.estimates import others
from principles.performance_alignment.reliability import over_classes


def clear_of(classes: Classes, roles: Roles, none: float, clear: float) -> float:
    """The least correlation that counts, as far as noise of accuracies and qualities leaves it."""
    measure = classes.measure
    controls = others(roles, measure.values) or [roles.audited]
    reliable = {n: over_classes(measure, classes.index, classes.cluster, n) for n in controls}
    return none + left_of(clear - none, classes, roles, reliable)


def correlation_of(classes: Classes, name: str, roles: Roles, level: float) -> Estimate:
    """That of an explainer's maps; none at all for maps that are as good in every class."""
    given = classes.given(name, roles)
    return partial_spearman(classes.quality(name), classes.accuracy, given, level=level)
