"""Pictures and words of what P203 found."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.finding import Verdict
from audit.result.wording import number, percent
from audit.statistics.estimate import Estimate
from audit.trace.records import Array
from principles.finding_parts import interval_words
from principles.indifference import Zone
from principles.performance_alignment.classes import Classes
from principles.performance_alignment.settling import settling_words

_MOST_POINTS, _GROUPS = 40, 12
_SHOWN = 5


def class_sentence(classes: Classes, ours: Estimate, zone: Zone, why: str, settles: float) -> str:
    """What was found, or why nothing can be said, in a sentence."""
    verdict, measure = zone.decide(ours), classes.measure.name
    size = f"rank correlation {interval_words(ours)} over {ours.n} classes"
    if why:
        told = f"By {measure} nothing can be said: {why}; the audited maps have a {size}."
        return f"{told} {settling_words(settles)}"
    verb = {Verdict.PASS: "follows", Verdict.VIOLATION: "does not follow"}.get(
        verdict, "may or may not follow"
    )
    more = f" {settling_words(settles)}" if verdict is Verdict.INCONCLUSIVE else ""
    return (
        f"Map quality ({measure}) {verb} accuracy over classes: {size}, the quality of model-free "
        f"maps held fixed.{zone.faint_words(ours)}{more}"
    )


def class_scatter(classes: Classes, roles: Roles) -> ScatterFigure:
    """Quality against accuracy: a point for each class, or for each group of many classes."""
    shown = [
        n
        for n in dict.fromkeys((roles.audited, *roles.positive[:1]))
        if n in classes.measure.values
    ]
    many = len(classes.names) > _MOST_POINTS
    order = np.argsort(classes.accuracy, kind="stable")
    groups = np.array_split(order, _GROUPS if many else len(order))
    series = [
        Series(
            name=name,
            points=[_point(classes, classes.quality(name), members) for members in groups],
            control=name != roles.audited,
        )
        for name in shown
    ]
    what = "a group of classes that the model knows alike" if many else "a class"
    return ScatterFigure(
        title=f"Map quality by {classes.measure.name} against accuracy, class by class",
        caption=f"Each point is {what}: the share of right pairs, and the mean quality of their "
        "maps. A class in other words is a class of its own.",
        x_label="share of right pairs",
        y_label=classes.measure.name,
        series=series,
    )


def _point(classes: Classes, quality: Array, members: Array) -> Point:
    several = len(members) > 1
    label = f"{len(members)} classes" if several else classes.names[int(members[0])]
    return Point(
        x=float(classes.accuracy[members].mean()), y=float(quality[members].mean()), label=label
    )


def unexpected_classes(classes: Classes, roles: Roles) -> TableFigure:
    """The classes whose maps are best in comparison with how well the model knows them."""
    quality = classes.quality(roles.audited)
    rows = [
        [classes.names[i], percent(float(classes.accuracy[i])), number(float(quality[i]))]
        for i in classes.by_excess(roles.audited)[:_SHOWN]
    ]
    return TableFigure(
        title="Classes whose maps are best in comparison with how well the model knows them",
        caption="By the difference of the two ranks.",
        columns=["class", "right pairs", f"mean {classes.measure.name}"],
        rows=rows,
    )


def class_table(measure: str, found: dict[str, Estimate]) -> TableFigure:
    """The correlation of every explainer."""
    return TableFigure(
        title=f"Rank correlation of {measure} with accuracy over classes",
        caption="Controls beside the audited explainer, each with the quality of the other "
        "model-free maps and the area of the objects held fixed.",
        columns=["explainer", "rank correlation"],
        rows=[[name, interval_words(estimate)] for name, estimate in found.items()],
    )
