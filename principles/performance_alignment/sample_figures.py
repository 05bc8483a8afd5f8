"""Quality of the maps of single pairs against the model's margin, in pictures and words: P202."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.finding import Verdict
from audit.result.numbers import Interval
from audit.result.wording import DASH, counted, number
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from principles.finding_parts import finite, interval_words
from principles.performance_alignment.estimates import Reading, judged
from principles.performance_alignment.rivals import Lead
from principles.performance_alignment.sample_tables import SampleTable
from principles.performance_alignment.settling import settling_words

_BINS = 10


def curve(table: SampleTable, roles: Roles) -> ScatterFigure:
    """Mean quality in ten quantile bins of the margin, with 95 % intervals over pictures."""
    order = np.argsort(table.margins, kind="stable")
    bins = [b for b in np.array_split(order, min(_BINS, len(order))) if len(b)]
    names = dict.fromkeys((roles.audited, *judged(roles, table.measure.values)))
    series = [
        Series(
            name=name,
            points=[_point(table, name, members) for members in bins],
            line=True,
            control=name != roles.audited,
        )
        for name in names
    ]
    return ScatterFigure(
        title=f"Map quality by {table.measure.name} and the model's margin",
        caption="Each point is the mean over a tenth of the pairs, in the order of their margin: "
        "the score of the pair's class minus that of the strongest class that the picture does not "
        "show. The model is right above zero.",
        x_label="margin of the pair's class",
        y_label=table.measure.name,
        series=series,
    )


def areas(
    table: SampleTable, roles: Roles, adjusted: Mapping[str, float], leads: Mapping[str, Estimate]
) -> TableFigure:
    """Means on right and wrong pairs, the adjusted areas, and the lead of the audited maps."""
    rows = [
        [
            name,
            number(float(table.measure.values[name][table.right].mean())),
            number(float(table.measure.values[name][~table.right].mean())),
            number(adjusted[name]),
            interval_words(leads[name]) if name in leads else DASH,
        ]
        for name in judged(roles, table.measure.values)
    ]
    return TableFigure(
        title=f"Mean {table.measure.name} on right and wrong pairs",
        caption="The area under the ROC curve of quality for correctness, with the quality of the "
        "model-free maps and the object's area held fixed; 0.5 is no relation.",
        columns=["explainer", "right", "wrong", "adjusted area", f"lead of {roles.audited}"],
        rows=rows,
    )


def _point(table: SampleTable, name: str, members: np.ndarray) -> Point:
    found = bootstrap_interval(
        table.measure.values[name][members],
        clusters=table.cluster[members],
        rng=np.random.default_rng(0),
    )
    return Point(
        x=float(table.margins[members].mean()),
        y=found.value,
        y_interval=Interval(low=finite(found.low), high=finite(found.high)),
    )


def too_few(table: SampleTable, least: int) -> Reading:
    """Where the model is right, or wrong, about fewer pictures than it takes."""
    right, name = table.right, table.measure.name
    sentence = (
        f"By {name} nothing can be said: the model is wrong about "
        f"{counted(int((~right).sum()), 'pair')} of {len(right)}, {least} pictures with a right "
        f"pair and {least} with a wrong one are the least."
    )
    needed = math.ceil(len(right) * least / max(table.fewest(), 0.5))
    return Reading(
        may_speak=False,
        verdict=Verdict.INCONCLUSIVE,
        sentence=sentence,
        pairs_to_settle=needed,
    )


def sample_sentence(table: SampleTable, found: Lead, area: float, why: str, settles: float) -> str:
    """What was found, or why nothing can be said, in a sentence."""
    right, name = table.right, table.measure.name
    rival, lead = next(iter(found.shown.items()))
    sizes = f"over {int(right.sum())} right and {int((~right).sum())} wrong pairs"
    size = f"adjusted area {number(area)}, its lead over {rival} {interval_words(lead)}, {sizes}"
    if why:
        told = f"By {name} nothing can be said: {why}; the audited maps have an {size}."
        return f"{told} {settling_words(settles)}"
    verb = {Verdict.PASS: "are", Verdict.VIOLATION: "are not"}.get(
        found.verdict, "may or may not be"
    )
    more = f" {settling_words(settles)}" if found.verdict is Verdict.INCONCLUSIVE else ""
    faint = found.zone.faint_words(lead)
    return f"Maps {verb} better ({name}) where the model is right: {size}.{faint}{more}"
