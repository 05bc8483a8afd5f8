"""Evidence of some pairs put together with that of others, as if measured at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from audit.evidence.kinds import (
    ChosenPairs,
    ClassPairs,
    Evidence,
    Executed,
    Explanations,
    Faithfulness,
    Ladder,
    MapQuality,
    Reference,
    RungFaithfulness,
    TextSpecificity,
)
from audit.trace.records import Array

PER_PAIR = frozenset(
    {
        "reference",
        "explanations",
        "chosen_pairs",
        "class_pairs",
        "faithfulness",
        "map_quality",
        "ladder",
        "rung_faithfulness",
        "executed",
        "text_specificity",
    }
)
Kind = TypeVar("Kind")


def joined(one: Evidence, two: Evidence) -> Evidence:
    """Evidence of both sets of pairs, those of ``one`` first.

    The two share no picture, and no set of grids. Kinds that are measured on a fixed number of
    pairs stay those of ``one``; a kind that one of the two lacks is lacking.

    Raises:
        ValueError: where the two were not measured alike, such as on other rungs.
    """
    if one.reference is None or two.reference is None:
        nothing: dict[str, Any] = dict.fromkeys(PER_PAIR)
        return dataclasses.replace(one, **nothing)
    pairs = len(one.reference.ids)
    kinds: dict[str, Any] = {
        "reference": _reference(one.reference, two.reference),
        "explanations": _both(one.explanations, two.explanations, _explanations),
        "chosen_pairs": _both(one.chosen_pairs, two.chosen_pairs, _chosen),
        "class_pairs": _both(one.class_pairs, two.class_pairs, _of_classes),
        "executed": _both(one.executed, two.executed, _executed),
        "text_specificity": _both(one.text_specificity, two.text_specificity, _texts),
        "faithfulness": _both(
            one.faithfulness, two.faithfulness, lambda a, b: _faithfulness(a, b, pairs)
        ),
        "map_quality": _both(
            one.map_quality, two.map_quality, lambda a, b: _map_quality(a, b, pairs)
        ),
        "ladder": _both(one.ladder, two.ladder, _ladder),
        "rung_faithfulness": _both(
            one.rung_faithfulness, two.rung_faithfulness, lambda a, b: _on_rungs(a, b, pairs)
        ),
    }
    return dataclasses.replace(one, **kinds)


def _both(one: Any, two: Any, join: Any) -> Any:
    return None if one is None or two is None else join(one, two)


def _reference(one: Reference, two: Reference) -> Reference:
    _same("classes", one.classes, two.classes)
    masks = None
    if one.masks is not None and two.masks is not None:
        masks = np.concatenate([one.masks, two.masks])
    return dataclasses.replace(
        one,
        ids=one.ids + two.ids,
        texts=one.texts + two.texts,
        picture=np.concatenate([one.picture, two.picture + len(one.present)]),
        labels=np.concatenate([one.labels, two.labels]),
        present=np.concatenate([one.present, two.present]),
        scores=np.concatenate([one.scores, two.scores]),
        masks=masks,
        sets=None if one.sets is None or two.sets is None else np.concatenate([one.sets, two.sets]),
    )


def _explanations(one: Explanations, two: Explanations) -> Explanations:
    return Explanations(_rows(one.maps, two.maps), _nested(one.localization, two.localization))


def _chosen(one: ChosenPairs, two: ChosenPairs) -> ChosenPairs:
    if not two.ids:
        return one
    return ChosenPairs(
        ids=one.ids + two.ids,
        cluster=np.concatenate([one.cluster, two.cluster]),
        margins=np.concatenate([one.margins, two.margins]),
        area=np.concatenate([one.area, two.area]),
        localization=_rows(one.localization, two.localization) if one.ids else two.localization,
    )


def _of_classes(one: ClassPairs, two: ClassPairs) -> ClassPairs:
    """Each look has classes of its own."""
    if not two.ids or not one.ids:
        return one if one.ids else two
    return ClassPairs(
        classes=one.classes + two.classes,
        labels=np.concatenate([one.labels, two.labels]),
        pairs=np.concatenate([one.pairs, two.pairs]),
        right=np.concatenate([one.right, two.right]),
        ids=one.ids + two.ids,
        index=np.concatenate([one.index, two.index + len(one.classes)]),
        cluster=np.concatenate([one.cluster, two.cluster]),
        area=np.concatenate([one.area, two.area]),
        localization=_rows(one.localization, two.localization),
        available=one.available,
    )


def _texts(one: TextSpecificity, two: TextSpecificity) -> TextSpecificity:
    return TextSpecificity(
        np.concatenate([one.absent, two.absent]),
        _rows(one.maps, two.maps),
        _nested(one.localization, two.localization),
    )


def _faithfulness(one: Faithfulness, two: Faithfulness, pairs: int) -> Faithfulness:
    return Faithfulness(
        probed=np.concatenate([one.probed, two.probed + pairs]),
        gaps=_rows(one.gaps, two.gaps),
        span=np.concatenate([one.span, two.span]),
        other_gaps=_rows(one.other_gaps, two.other_gaps),
        other_span=np.concatenate([one.other_span, two.other_span]),
    )


def _map_quality(one: MapQuality, two: MapQuality, pairs: int) -> MapQuality:
    return MapQuality(
        probed=np.concatenate([one.probed, two.probed + pairs]),
        values=_nested(one.values, two.values),
        passes={name: n + two.passes[name] for name, n in one.passes.items()},
        explanations={name: n + two.explanations[name] for name, n in one.explanations.items()},
    )


def _ladder(one: Ladder, two: Ladder) -> Ladder:
    _same("rungs", one.rungs, two.rungs)
    return Ladder(
        rungs=one.rungs,
        identity_error=max(one.identity_error, two.identity_error),
        correct=np.concatenate([one.correct, two.correct], 1),
        localization=_rows(one.localization, two.localization, 1),
        probed_maps=_rows(one.probed_maps, two.probed_maps, 1),
        left_out=one.left_out,
    )


def _on_rungs(one: RungFaithfulness, two: RungFaithfulness, pairs: int) -> RungFaithfulness:
    return RungFaithfulness(
        probed=np.concatenate([one.probed, two.probed + pairs]),
        gaps=_rows(one.gaps, two.gaps, 1),
        span=np.concatenate([one.span, two.span], 1),
    )


def _executed(one: Executed, two: Executed) -> Executed:
    _same("kind of score", one.how, two.how)
    differences = (one.largest_difference, two.largest_difference)
    known = [d for d in differences if d is not None]
    return Executed(
        how=one.how,
        correct=np.concatenate([one.correct, two.correct]),
        model_correct=np.concatenate([one.model_correct, two.model_correct]),
        largest_difference=max(known) if known else None,
    )


def _rows(one: Mapping[str, Array], two: Mapping[str, Array], axis: int = 0) -> dict[str, Array]:
    _same("explainers or measures", sorted(one), sorted(two))  # read from disk they are sorted
    return {name: np.concatenate([one[name], two[name]], axis) for name in one}


def _nested(
    one: Mapping[str, dict[str, Array]], two: Mapping[str, dict[str, Array]]
) -> dict[str, dict[str, Array]]:
    _same("explainers", sorted(one), sorted(two))
    return {name: _rows(one[name], two[name]) for name in one}


def _same(what: str, one: object, two: object) -> None:
    if one != two:
        raise ValueError(
            f"expected the same {what} for all pairs of an audit, got {one} and {two}; "
            "run the audit again with --no-resume"
        )
