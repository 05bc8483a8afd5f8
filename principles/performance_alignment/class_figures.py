"""Pictures and words of what P203 found."""

from __future__ import annotations

from audit.evidence.kinds import Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.finding import Verdict
from audit.statistics.estimate import Estimate
from principles.finding_parts import interval_words
from principles.indifference import Zone
from principles.performance_alignment.classes import Classes
from principles.performance_alignment.settling import settling_words


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
    """Quality against accuracy, a point for each class."""
    shown = [
        n
        for n in dict.fromkeys((roles.audited, *roles.positive[:1]))
        if n in classes.measure.values
    ]
    series = [
        Series(
            name=name,
            points=[
                Point(x=float(x), y=float(y), label=label)
                for label, x, y in zip(
                    classes.names, classes.accuracy, classes.quality(name), strict=True
                )
            ],
            control=name != roles.audited,
        )
        for name in shown
    ]
    return ScatterFigure(
        title=f"Map quality by {classes.measure.name} against accuracy, class by class",
        caption="Each point is a class by one of its names: the share of its pairs about which the "
        "model is right, and the mean quality of their maps.",
        x_label="share of right pairs",
        y_label=classes.measure.name,
        series=series,
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
