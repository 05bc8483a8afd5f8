"""Evidence made by hand for the checks of principle 2, and bounds for their simulations."""

import dataclasses

import numpy as np
from scipy import stats

from audit.evidence.kinds import (
    ChosenPairs,
    ClassPairs,
    Evidence,
    Explanations,
    Faithfulness,
    OtherModels,
    Performance,
    Reference,
    Roles,
    TextSpecificity,
)

ROLES = Roles("audited", ("faithful",), ("random", "edges"), None, True, False, False)


def made(
    quality=None,
    correct=None,
    *,
    labels=None,
    per_picture=2,
    faithfulness=None,
    roles=ROLES,
    area=None,
):
    """Evidence with the given quality per explainer, localization or faithfulness or both.

    Args:
        quality: localization per explainer, (pairs,), or None for data without masks.
        correct: whether the model is right about each pair.
        labels: class of each pair; the last class is never shown.
        per_picture: pairs that share a picture.
        faithfulness: insertion minus deletion per explainer, for the first pairs.
        roles: of the explainers.
        area: of the objects.
    """
    n = len(next(iter((quality or faithfulness).values())))
    correct = np.ones(n, bool) if correct is None else np.asarray(correct)
    labels = np.arange(n) % 10 if labels is None else np.asarray(labels)
    maps = {name: np.zeros((n, 2, 2)) for name in (quality or faithfulness)}
    localization = {} if quality is None else {k: _named(v) for k, v in quality.items()}
    reference = _reference(correct, labels, np.arange(n) // per_picture)
    chosen = ChosenPairs(
        ids=reference.ids,
        cluster=reference.picture,
        margins=reference.margins,
        area=np.zeros(n) if area is None else area,
        localization=quality or {},
    )
    return Evidence(
        roles=roles,
        reference=reference,
        performance=Performance(reference.margins, labels, np.arange(n)),
        chosen_pairs=chosen,
        class_pairs=class_pairs(chosen, labels, correct),
        explanations=Explanations(maps, localization),
        faithfulness=_faithfulness(faithfulness or {}),
        other_models=OtherModels(),
    )


def class_pairs(chosen, labels, correct):
    """The same pairs by class; a class is known as well as its pairs show."""
    present, index = np.unique(labels, return_inverse=True)
    return ClassPairs(
        classes=tuple(f"class {i}" for i in present),
        labels=present,
        pairs=np.bincount(index),
        right=np.bincount(index, weights=correct),
        ids=chosen.ids,
        index=index,
        cluster=chosen.cluster,
        area=chosen.area,
        localization=chosen.localization,
        available=len(present),
    )


def with_absent(evidence, quality, absent=None):
    """Evidence with localization under an absent text."""
    n = len(evidence.reference.ids)
    absent = np.full(n, len(evidence.reference.classes) - 1) if absent is None else absent
    maps = {name: np.ones((n, 2, 2)) for name in quality}
    other = TextSpecificity(absent, maps, {k: _named(v) for k, v in quality.items()})
    return dataclasses.replace(evidence, text_specificity=other)


def at_most(rate, runs, sure=0.999):
    """How often an event of this rate happens in so many runs, but for one chance in a thousand."""
    return stats.binom.ppf(sure, runs, rate)


def _named(values):
    return {"average precision": np.asarray(values, float)}


def _reference(correct, labels, picture):
    n, pictures, classes = len(labels), picture.max() + 1, labels.max() + 2
    present = np.zeros((pictures, classes), bool)
    present[picture, labels] = True
    cosine = np.where(present, 0.0, 0.2)
    cosine[picture, labels] = np.where(correct, 0.3, 0.1)
    names = tuple(f"class {i}" for i in range(classes))
    return Reference(
        ids=tuple(f"pair-{i}" for i in range(n)), texts=("text",) * n, classes=names,
        picture=picture, labels=labels, present=present, scores=cosine,
        masks=None, image_blocks=2, text_blocks=2,
    )  # fmt: skip


def _faithfulness(gaps):
    n = len(next(iter(gaps.values()), ()))
    gaps = {k: np.asarray(v, float) for k, v in gaps.items()}
    return Faithfulness(np.arange(n), gaps, np.ones(n))
