"""Which measures of map quality were asked for: names in, rows of the table out."""

from __future__ import annotations

from collections.abc import Sequence

from audit.metrics.quality_table import MEASURES, ON_GRIDS, USUAL, QualityMeasure
from audit.nearest_name import hint


class QualityError(ValueError):
    """A measure that does not exist, or that cannot do what it was asked for."""


def usual_measures(*, grids: bool) -> tuple[QualityMeasure, ...]:
    """What is measured where nothing was asked for; the first decides."""
    return _named((*USUAL, ON_GRIDS) if grids else USUAL)


def chosen_measures(names: Sequence[str]) -> tuple[QualityMeasure, ...]:
    """The rows of some names, each once; the first decides.

    The name of a family, such as ``road``, stands for all measures of it.

    Raises:
        QualityError: no measure of a name, or the first cannot decide.
    """
    found = _named(names)
    if found and not found[0].may_decide:
        able = ", ".join(one.name for one in MEASURES if one.may_decide)
        raise QualityError(
            f"quality: expected first a measure that can decide, which is one against masks: "
            f"{able}; found '{names[0]}', which measures {_what(found[0])}; put one of these "
            f"before it, such as --quality {USUAL[0]},{names[0]}"
        )
    return found


def expect_grids(chosen: Sequence[QualityMeasure], *, grids: bool) -> None:
    """Refuse a measure of grids on other data.

    Raises:
        QualityError: one was chosen.
    """
    lacking = [one.name for one in chosen if one.needs == "grids" and not grids]
    if lacking:
        raise QualityError(
            f"quality: expected grids for '{lacking[0]}', found data without them; give --grid 2 "
            f"where there are labels, or leave it out ('energy' is its like for masks)"
        )


def families_of(chosen: Sequence[QualityMeasure]) -> tuple[str, ...]:
    """The families of some measures, each once; those against masks have none."""
    return tuple(dict.fromkeys(one.family for one in chosen if one.family))


def _named(names: Sequence[str]) -> tuple[QualityMeasure, ...]:
    found: dict[str, QualityMeasure] = {}
    for name in names:
        rows = [one for one in MEASURES if name in {one.name, one.family}]
        if not rows:
            known = [one.name for one in MEASURES]
            raise QualityError(
                f"quality: unknown measure '{name}'{hint(name, known)}; 'audit list quality' shows "
                f"all: {', '.join(known)}"
            )
        own = [one for one in rows if one.name == name]
        found |= {one.name: one for one in own or rows}
    return tuple(found.values())


def _what(measure: QualityMeasure) -> str:
    if measure.needs == "nothing":
        return "the map alone, not its place"
    if measure.needs == "explanations":
        return "how the explainer behaves, not where the object is"
    return "faithfulness to the score, not where the object is"
