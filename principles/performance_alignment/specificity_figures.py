"""Pictures and words of what P205 found."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Explanations, Reference, Roles, TextSpecificity
from audit.result.figures import PairFigure, TableFigure
from audit.result.finding import Verdict
from audit.result.wording import counted, number
from audit.statistics.estimate import Estimate
from principles.finding_parts import interval_words, pair_figure
from principles.indifference import Zone
from principles.performance_alignment.estimates import decider_words
from principles.performance_alignment.settling import settling_words


def declared(roles: Roles) -> list[str]:
    """What the explainer declares of the target, where it declares anything."""
    if roles.text_specific:
        return []
    return ["The explainer declares that it does not read the target; it is measured all the same."]


def specificity_summary(
    ours: Estimate,
    verdict: Verdict,
    why: str,
    reference: Reference,
    zone: Zone,
    settles: float,
) -> str:
    """What was found, or why nothing can be said."""
    units = counted(ours.n, reference.cluster_name)
    size = f"localization falls by {interval_words(ours)}, n = {units}"
    faint = zone.faint_words(ours)
    if why:
        more = settling_words(settles)
        return f"Nothing can be said: {why}; for the audited maps {size}. {more}"
    if verdict is Verdict.PASS:
        return f"Asked for a class that is absent, the maps leave the object: {size}."
    if verdict is Verdict.VIOLATION:
        return f"Asked for a class that is absent, the maps stay on the object: {size}.{faint}"
    more = settling_words(settles)
    return f"Maps may or may not leave the object when asked for an absent class: {size}. {more}"


def specificity_pair(
    index: int,
    reference: Reference,
    explanations: Explanations,
    other: TextSpecificity,
    roles: Roles,
) -> PairFigure:
    """The maps of a pair asked for its own class and for an absent one."""
    absent = reference.classes[int(other.absent[index])]
    right = explanations.localization[roles.audited][roles.decides][index]
    wrong = other.localization[roles.audited][roles.decides][index]
    return pair_figure(
        reference,
        index,
        f"{reference.ids[index]}: own class and absent class",
        f"Localization of the object is {number(float(right))} asked for its own class and "
        f"{number(float(wrong))} asked for '{absent}', which the picture does not show.",
        [
            ("own class", explanations.maps[roles.audited][index]),
            (f"absent: {absent}", other.maps[roles.audited][index]),
        ],
    )


def specificity_table(
    explanations: Explanations,
    other: TextSpecificity,
    found: dict[str, Estimate],
    roles: Roles,
) -> TableFigure:
    """Localization of every explainer under either."""
    rows = [
        [
            name,
            number(float(np.nanmean(explanations.localization[name][roles.decides]))),
            number(float(np.nanmean(other.localization[name][roles.decides]))),
            interval_words(estimate),
        ]
        for name, estimate in found.items()
    ]
    return TableFigure(
        title="Localization of the object asked for its own class and for an absent one",
        caption=f"Mean {decider_words(roles)}; model-free ones never see the target.",
        columns=["explainer", "own class", "absent class", "paired difference"],
        rows=rows,
    )
