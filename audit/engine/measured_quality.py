"""What the result says of the measures of map quality that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from audit.evidence.kinds import AVERAGE_PRECISION, Evidence, Roles
from audit.metrics.quality_choice import chosen_measures
from audit.metrics.quality_table import NEEDS, QualityMeasure
from audit.result.numbers import Interval
from audit.result.schema import MeasuredQuality, QualityOfExplainer
from audit.statistics.bootstrap import bootstrap_interval
from audit.trace.records import Array


def measured_quality(names: Sequence[str], evidence: Evidence) -> list[MeasuredQuality]:
    """Mean and interval of every measure that was asked for, by explainer.

    Args:
        names: as ``--quality`` has them; nothing is told where none were given.
        evidence: of the audit; a measure that was not gathered has no values.
    """
    return [_measured(one, evidence) for one in chosen_measures(names)]


def quality_notes(evidence: Evidence, measured: Sequence[MeasuredQuality]) -> list[str]:
    """What a reader should know of the measures: another one decides, or one has no values."""
    explanations = evidence.explanations
    maskless = explanations is not None and not explanations.localization
    found = [] if maskless else _decider_notes(evidence.roles)
    reasons: dict[str, list[str]] = {}
    for one in measured:
        if not one.of:
            no_masks = maskless and not one.family
            why = "there are no masks" if no_masks else "their evidence was not gathered"
            reasons.setdefault(why, []).append(one.title)
    told = [f"Not measured: {', '.join(names)}: {why}." for why, names in reasons.items()]
    return [*found, *told]


def _decider_notes(roles: Roles) -> list[str]:
    """That another measure than the usual one decides."""
    if roles.decides == AVERAGE_PRECISION:
        return []
    sentence = (
        f"Localization is judged by {roles.decides}, as asked with --quality. The limits of the "
        f"checks were chosen for {AVERAGE_PRECISION}; --threshold sets others."
    )
    return [sentence]


def _measured(measure: QualityMeasure, evidence: Evidence) -> MeasuredQuality:
    values, clusters = _values(measure, evidence)
    gathered = evidence.map_quality
    passes, explained = (
        (0, 0)
        if gathered is None or not measure.family
        else (gathered.passes[measure.family], gathered.explanations[measure.family])
    )
    return MeasuredQuality(
        name=measure.name,
        title=measure.title,
        decides=measure.title == evidence.roles.decides,
        needs=NEEDS[measure.needs],
        span=measure.span,
        better=measure.better,
        source=measure.source,
        differs=measure.differs,
        family=measure.family,
        passes=passes,
        explanations=explained,
        of=[_of(name, values[name], clusters) for name in _ordered(evidence.roles, values)],
    )


def _values(measure: QualityMeasure, evidence: Evidence) -> tuple[dict[str, Array], Array]:
    """Values by explainer, and the cluster of each: its picture, or its set of grids."""
    reference, of_masks, of_passes = (
        evidence.reference,
        evidence.explanations,
        evidence.map_quality,
    )
    if reference is None:
        return {}, np.zeros(0, int)
    if measure.family:
        table = {} if of_passes is None else of_passes.values
        probed = np.zeros(0, int) if of_passes is None else of_passes.probed
        clusters = reference.cluster[probed]
    else:
        table = {} if of_masks is None else of_masks.localization
        clusters = reference.cluster
    found = {name: own[measure.title] for name, own in table.items() if measure.title in own}
    return found, clusters


def _ordered(roles: Roles, values: Mapping[str, Array]) -> list[str]:
    """The audited explainer, its twin, then controls."""
    twin = [roles.twin] if roles.twin else []
    names = dict.fromkeys((roles.audited, *twin, *roles.positive, *roles.negative))
    return [name for name in names if name in values]


def _of(name: str, values: Array, clusters: Array) -> QualityOfExplainer:
    known = np.isfinite(values)
    if not known.any():
        return QualityOfExplainer(explainer=name, mean=None, n=0)
    rng = np.random.default_rng(0)
    found = bootstrap_interval(values[known], clusters=clusters[known], rng=rng)
    ends = [float(end) if np.isfinite(end) else None for end in (found.low, found.high)]
    return QualityOfExplainer(
        explainer=name,
        mean=float(values[known].mean()),
        interval=Interval(low=ends[0], high=ends[1], level=found.level),
        n=int(known.sum()),
    )
