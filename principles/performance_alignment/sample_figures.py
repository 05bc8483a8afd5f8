"""Quality of the maps of single pairs against the model's margin, as curve and table: P202."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.numbers import Interval
from audit.result.wording import DASH, number
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from principles.finding_parts import finite, interval_words
from principles.performance_alignment.estimates import judged
from principles.performance_alignment.sample_tables import SampleTable

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
