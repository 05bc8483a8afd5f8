"""Pictures, numbers and words of what P206 found."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Reference, Roles
from audit.result.figures import PairFigure, TableFigure
from audit.result.finding import Verdict
from audit.result.numbers import Statistic
from audit.result.wording import DASH, counted, number
from audit.trace.records import Array
from principles.finding_parts import interval_words, pair_figure
from principles.performance_alignment.estimates import (
    Measure,
    flipped,
    others,
    statistic,
    visible_difference,
)
from principles.performance_alignment.rivals import Lead
from principles.performance_alignment.settling import settling_words


def gain_sentence(
    measure: str, control: str, found: Lead, why: str, settles: float, unit: str
) -> str:
    """What was found, or why nothing can be said, in a sentence."""
    ours = found.shown[control]
    size = f"{interval_words(ours)}, n = {counted(ours.n, unit)}"
    if why:
        return (
            f"By {measure} nothing can be said: {why}; the audited maps have a gain over {control} "
            f"of {size}. {settling_words(settles)}"
        )
    if found.verdict is Verdict.PASS:
        return f"Maps beat every model-free control ({measure}): the gain over {control} is {size}."
    if found.verdict is Verdict.VIOLATION:
        faint = found.zone.faint_words(ours)
        return f"Maps are no better than {control} ({measure}): the gain is {size}.{faint}"
    more = settling_words(settles)
    return f"Maps may or may not beat {control} ({measure}): the gain is {size}. {more}"


def gain_statistics(
    measure: Measure, roles: Roles, found: Lead, picture: Array, unit: str
) -> list[Statistic]:
    """The gain over each control; first the one that decides."""
    ours, tests = measure.values[roles.audited], len(found.whole)
    return [
        statistic(
            f"gain in {measure.name} over {control}",
            flipped(gain, ours - measure.values[control], picture, found.zone.none, tests),
            found.zone,
            visible_difference(ours - measure.values[control], picture, gain.level),
            f"sign flips of {unit}s, times {tests} controls, the null being no gain",
        )
        for control, gain in found.shown.items()
    ]


def gain_pair(
    index: int, reference: Reference, maps: dict[str, Array], roles: Roles, control: str
) -> PairFigure:
    """A pair on which a model-free map does best in comparison."""
    return pair_figure(
        reference,
        index,
        f"{reference.ids[index]}: the audited map and {control}",
        f"A pair on which {control}, which never looks at the model, does best in comparison.",
        [(roles.audited, maps[roles.audited][index]), (control, maps[control][index])],
    )


def gain_table(measure: Measure, roles: Roles, found: Lead) -> TableFigure:
    """Mean quality of every explainer, and the gain over each model-free one."""
    names = dict.fromkeys((roles.audited, *others(roles, measure.values), *found.whole))
    rows = [
        [
            name,
            number(float(np.nanmean(measure.values[name]))),
            interval_words(found.shown[name]) if name in found.whole else DASH,
        ]
        for name in names
    ]
    return TableFigure(
        title=f"Mean {measure.name} beside maps that never look at the model",
        caption="Localization is chance-corrected: its mean is the gain over the object's area. "
        "Faithfulness is a share of the model's own full minus empty score.",
        columns=["explainer", f"mean {measure.name}", f"gain of {roles.audited}"],
        rows=rows,
    )
