"""The pairs of a result: those that a reader can search, and the worst pair of a violation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audit.evidence.kinds import Evidence, Explanations, Reference, Roles
from audit.metrics.quality_table import has_chance_zero
from audit.result.figures import DIFFERENCE, NamedMap, PairFigure
from audit.result.finding import Finding, Verdict

MOST_PAIRS = 1000
_DIGITS = 5
_TWIN = "on the unmodified model"
_ALIKE = 1e-3
Values = npt.NDArray[np.floating]


def gallery(evidence: Evidence, chosen: Sequence[int]) -> list[PairFigure]:
    """The chosen pairs with the audited map, its faithful twin's and a faithful control's."""
    explanations, reference, roles = evidence.explanations, evidence.reference, evidence.roles
    if explanations is None or reference is None:
        return []
    labels = _labels(roles)
    shown = [name for name in labels if name in explanations.maps]
    right = _right(reference)
    return [
        PairFigure(
            title=reference.ids[i],
            caption=_caption(reference, explanations, roles, i),
            pair=reference.ids[i],
            maps=[_map(labels[name], explanations.maps[name][i]) for name in shown],
            tags=_tags(explanations, roles, i, right=bool(right[i])),
        )
        for i in chosen
    ]


def _labels(roles: Roles) -> dict[str, str]:
    """What the maps of a pair are called: the audited one, its twin, a faithful control."""
    controls = {name: f"{name} (control)" for name in roles.positive[:1]}
    twin = {roles.twin: _TWIN} if roles.twin else {}
    return {roles.audited: roles.audited} | {
        name: label for name, label in (twin | controls).items() if name != roles.audited
    }


def with_worst_pair(finding: Finding, evidence: Evidence) -> Finding:
    """A violation with its worst pair: the map as executed against that on the unmodified model.

    Where the explainer has no faithful twin, the map alone. Findings whose figures show the map
    of this pair already stay as they are.
    """
    explanations, reference = evidence.explanations, evidence.reference
    if finding.verdict is not Verdict.VIOLATION or finding.witness is None:
        return finding
    if explanations is None or reference is None or finding.witness.pair not in reference.ids:
        return finding
    index = reference.ids.index(finding.witness.pair)
    executed = explanations.maps[evidence.roles.audited][index]
    if _shown_already(finding, finding.witness.pair, executed):
        return finding
    figure = _worst(reference, explanations, evidence.roles, index)
    return finding.model_copy(update={"figures": [figure, *finding.figures]})


def _worst(
    reference: Reference, explanations: Explanations, roles: Roles, index: int
) -> PairFigure:
    executed = explanations.maps[roles.audited][index]
    twin = explanations.maps.get(roles.twin) if roles.twin else None
    if twin is None or twin[index].shape != executed.shape:
        caption, maps = "What the explainer draws for the worst pair.", [("map", executed)]
    else:
        caption = (
            "The map as the explainer draws it, the map of the same method on the unmodified "
            "model, and the first minus the second."
        )
        maps = [
            ("as executed", executed),
            (_TWIN, twin[index]),
            (DIFFERENCE, executed - twin[index]),
        ]
    return PairFigure(
        title="The worst pair",
        caption=caption,
        pair=reference.ids[index],
        maps=[_map(name, values) for name, values in maps],
        shared_scale=len(maps) > 1,
    )


def _shown_already(finding: Finding, pair: str, values: Values) -> bool:
    figures = [f for f in finding.figures if isinstance(f, PairFigure) and f.pair == pair]
    return any(_alike(values, one.values) for figure in figures for one in figure.maps)


def _alike(values: Values, others: list[list[float | None]]) -> bool:
    if [len(row) for row in others] != [values.shape[1]] * values.shape[0]:
        return False
    other = np.array(others, dtype=float)
    reach = float(np.ptp(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0
    return np.allclose(values, other, rtol=0, atol=_ALIKE * reach, equal_nan=True)


def _caption(reference: Reference, explanations: Explanations, roles: Roles, index: int) -> str:
    score = reference.scores[reference.picture[index], reference.labels[index]]
    quality = _localization(explanations, roles, index)
    also = "" if quality is None else f"; localization {quality:.2f}"
    return f"Score {score:.3f}{also}."


def _tags(explanations: Explanations, roles: Roles, index: int, *, right: bool) -> list[str]:
    quality = _localization(explanations, roles, index)
    chance = quality is not None and quality <= 0 and has_chance_zero(roles.decides)
    poor = ["map no better than chance"] if chance else []
    return ["the model is right" if right else "the model is wrong", *poor]


def _localization(explanations: Explanations, roles: Roles, index: int) -> float | None:
    """Localization of the audited map by the measure that decides, None where it is not known."""
    measured = explanations.localization.get(roles.audited, {}).get(roles.decides)
    return None if measured is None or np.isnan(measured[index]) else float(measured[index])


def _right(reference: Reference) -> npt.NDArray[np.bool_]:
    """Whether a pair's class outranks every class that its picture does not show, (pairs,)."""
    absent = np.where(reference.present, -np.inf, reference.scores)[reference.picture]
    own = reference.scores[reference.picture, reference.labels]
    return np.asarray(own > absent.max(1))


def _map(title: str, values: Values) -> NamedMap:
    rows = [[float(f"{v:.{_DIGITS}g}") if np.isfinite(v) else None for v in row] for row in values]
    return NamedMap(title=title, values=rows)
