"""The targets of the classes of some data: what a model is asked for in the place of each name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from audit.data.imagenet_classes import looks_like_synset, openai_templates
from audit.data.labelled_pictures import LabelledPictures
from audit.data.pairs import ModelInputs
from audit.errors import UnknownNamesError

OPENAI = "openai"
"""In the place of a template: the 80 of OpenAI, over which the features of a class are averaged."""
_NAMED = 3


@dataclass(frozen=True)
class ClassTargets:
    """Classes that differ to the model.

    Attributes:
        number: of each class of the data among them.
        names: of each.
        targets: of each, (classes, ...).
        templates: that the names stand in; the first is the text of a pair.
        averaged: targets of each class by every template, None where there is one.
        notes: classes that were taken for one.
    """

    number: tuple[int, ...]
    names: tuple[str, ...]
    targets: Int[Tensor, "classes ..."]
    templates: tuple[str, ...]
    averaged: Int[Tensor, "templates classes context"] | None
    notes: tuple[str, ...]


def class_targets(model: ModelInputs, data: LabelledPictures, template: str) -> ClassTargets:
    """The targets of all classes; those that are the same to the model are one class.

    Args:
        model: encodes texts or class names.
        data: whose classes they are.
        template: with one ``{}``, or `OPENAI`; whole texts, and the classes of a model with a class
            head, stand in none.

    Raises:
        ValueError: the model knows no such class.
    """
    plain = data.texts or not model.uses_templates
    templates = ("{}",) if plain else templates_of(template)
    if model.uses_templates:
        targets = model.encode([templates[0].format(name) for name in data.classes])
    else:
        targets = _of_class_head(model, data)
    kept, number, notes = _distinct(data.classes, targets)
    notes += _synsets(data.classes) if model.uses_templates else ()
    names = _told_apart(data, kept)
    averaged = None
    if len(templates) > 1:
        texts = [one.format(data.classes[i]) for one in templates for i in kept]
        flat = model.encode(texts)
        averaged = flat.reshape(len(templates), len(names), *flat.shape[1:])
    return ClassTargets(tuple(number), names, targets[kept], templates, averaged, notes)


def _synsets(names: Sequence[str]) -> tuple[str, ...]:
    """That a model which reads texts reads some ids in the place of words."""
    found = [one for one in names if looks_like_synset(one)]
    if not found:
        return ()
    told = f"Classes that are called by an id, which is all that the model reads: {found[0]}"
    return (told + (f" and {len(found) - 1:,} more." if len(found) > 1 else "."),)


def templates_of(template: str) -> tuple[str, ...]:
    """The templates that a setting names, each with one ``{}``."""
    if template != OPENAI:
        return (template,)
    plain = "a photo of a {}."
    return (plain, *(one for one in openai_templates() if one != plain))


def _told_apart(data: LabelledPictures, kept: Sequence[int]) -> tuple[str, ...]:
    """Names for readers: what several of the classes share is followed by what tells them apart."""
    times = Counter(data.classes[i] for i in kept)
    names = (data.classes[i] for i in kept)
    return tuple(
        name if times[name] == 1 else f"{name} ({data.known_as[i]})"
        for i, name in zip(kept, names, strict=True)
    )


def without_unknown(model: ModelInputs, data: LabelledPictures) -> LabelledPictures:
    """The same pictures without the classes that a model with a class head does not have.

    Where the data are `strict`, or the model does not have half of the classes or more, nothing is
    left out: `class_targets` refuses what is unknown.
    """
    if model.uses_templates or data.strict:
        return data
    unknown = {i for i, one in enumerate(_ids_of_head(model, data)) if one is None}
    if not unknown or 2 * len(unknown) >= len(data.classes):
        return data
    return data.without(unknown, "the model has no such class")


def _of_class_head(model: ModelInputs, data: LabelledPictures) -> Int[Tensor, " classes"]:
    found = _ids_of_head(model, data)
    known = [one for one in found if one is not None]
    return torch.stack(known) if len(known) == len(found) else model.encode(list(data.classes))


def _ids_of_head(model: ModelInputs, data: LabelledPictures) -> list[Tensor | None]:
    """Class ids by what the classes are known as for certain, else by their names.

    Numbers and synsets tell apart classes that share a name, such as ImageNet's two cranes. A
    synset means one class alone; numbers may count other classes than the model's, and are believed
    where they agree with at least half of the names that occur once in the data.
    """
    named = _ids(model, data.classes)
    certain = _ids(model, data.known_as) or [None] * len(named)
    times = Counter(data.classes)
    numbers = [i for i, one in enumerate(data.known_as) if one.isdecimal()]
    once = [i for i in numbers if times[data.classes[i]] == 1]
    alike = sum(_same(named[i], certain[i]) for i in once)
    for i in numbers if 2 * alike < len(once) else []:
        certain[i] = None
    return [two if one is None else one for one, two in zip(certain, named, strict=True)]


def _same(one: Tensor | None, two: Tensor | None) -> bool:
    return one is not None and two is not None and torch.equal(one, two)


def _ids(model: ModelInputs, names: Sequence[str]) -> list[Tensor | None]:
    """The class id that each name means, None where it means none."""
    unknown: set[str] = set()
    try:
        return [*model.encode(list(names))] if names else []
    except UnknownNamesError as error:
        unknown.update(error.names)
    known = list(dict.fromkeys(name for name in names if name not in unknown))
    ids = dict(zip(known, model.encode(known), strict=True)) if known else {}
    return [ids.get(name) for name in names]


def _distinct(names: Sequence[str], tokens: Tensor) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Classes that are the same text to the model are one class, and this is told.

    Returns:
        The names to keep, by their number; the class of each name; and what is to be told.
    """
    first: dict[bytes, int] = {}
    rows = [row.tobytes() for row in tokens.numpy()]
    same = [first.setdefault(row, i) for i, row in enumerate(rows)]
    kept = list(first.values())
    number = {name: i for i, name in enumerate(kept)}
    twice = [(i, other) for i, other in enumerate(same) if i != other]
    if not twice:
        return kept, [number[i] for i in same], ()
    named = ", ".join(f"'{names[i]}' as '{names[other]}'" for i, other in twice[:_NAMED])
    rest = len(twice) - _NAMED
    more = f" and {rest:,} more" if rest > 0 else ""
    told = f"Classes that are the same text to the model are taken for one: {named}{more}."
    return kept, [number[i] for i in same], (told,)
