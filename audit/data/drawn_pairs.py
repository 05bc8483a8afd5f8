"""Pairs drawn from labelled pictures: each picture by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from audit.data.class_targets import ClassTargets, class_targets
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, ReadPicture
from audit.data.pairs import ModelInputs, Pairs, Skipped, left_out
from audit.result.wording import counted

_SHOWN = 10
_OUT_OF_SIGHT = "its object lies outside of what the model's preprocessing leaves of the picture"


@dataclass
class _Used:
    """What has been taken of the pictures that were read, by row and by picture."""

    images: dict[str, Tensor] = field(default_factory=dict)
    also: dict[str, tuple[int, ...]] = field(default_factory=dict)
    masks: dict[int, Tensor | None] = field(default_factory=dict)
    wrong: list[Skipped] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    good: int = 0

    def take(self, model: ModelInputs, one: ReadPicture) -> None:
        self.wrong += one.wrong
        self.good += not one.wrong
        if one.opened is None:
            return
        self.told.update(one.opened.told)
        for row, mask in one.masks.items():
            seen = None if mask is None else model.preprocess_mask(mask)[0] > 0.5
            self.masks[row] = seen
        if one.name not in self.images and one.masks:
            self.images[one.name] = model.preprocess(one.opened.picture)
            self.also[one.name] = one.also


def drawn_pairs(
    model: ModelInputs, data: LabelledPictures, count: int | None, *, seed: int, template: str
) -> Pairs:
    """Pairs of rows that are drawn at random.

    Args:
        model: preprocesses pictures and prompts.
        data: to draw from.
        count: how many pairs, None for all. What a picture shows is read from all of its rows,
            drawn or not, and a pair has the same id whatever is drawn. Where something cannot be
            used, more is drawn in its place.
        seed: of the draw.
        template: prompt of a class, see `class_targets`.

    Raises:
        DataError: nothing can be used, or something cannot where the data are `strict`.
    """
    asked = class_targets(model, data, template)
    order = np.arange(len(data.table))
    if count is not None and count < len(order):
        order = np.random.default_rng(seed).permutation(len(order))
    used = _Used()
    unseen: list[Skipped] = []
    rows: list[int] = []
    wanted = len(order) if count is None else min(count, len(order))
    while len(rows) < wanted and len(order):
        drawn, order = np.sort(order[: wanted - len(rows)]), order[wanted - len(rows) :]
        for one in data.read(data.table.iloc[drawn]):
            used.take(model, one)
        if data.strict:
            expect_all_usable(data, used.wrong, used.good)
        for row in (int(i) for i in drawn if int(i) in used.masks):
            mask = used.masks[row]
            if mask is None or mask.any():
                rows.append(row)
            else:
                unseen.append(Skipped(str(data.table["id"].iloc[row]), _OUT_OF_SIGHT))
    return _paired(data, asked, used, sorted(rows), (*used.wrong, *unseen))


def _paired(
    data: LabelledPictures,
    asked: ClassTargets,
    used: _Used,
    rows: Sequence[int],
    skipped: tuple[Skipped, ...],
) -> Pairs:
    if not rows:
        raise DataError(
            f"{data.name}: expected labelled pictures, found none that can be used"
            f"{left_out((*skipped, *data.skipped))}"
        )
    drawn = data.table.iloc[list(rows)]
    files, picture = np.unique(drawn["image"].to_numpy(dtype=str), return_inverse=True)
    number = np.array(asked.number)
    masks = [mask for row in rows if (mask := used.masks[row]) is not None]
    full = sum(bool(mask.all()) for mask in masks)
    return Pairs(
        name=data.name,
        ids=tuple(drawn["id"]),
        images=torch.stack([used.images[name] for name in files]),
        picture=torch.from_numpy(picture),
        labels=torch.from_numpy(number[drawn["class"].to_numpy()]),
        present=shown_classes(data, files, asked, used.also),
        masks=torch.stack(masks) if full < len(masks) else None,
        classes=asked.names,
        templates=asked.templates,
        targets=asked.targets,
        averaged=asked.averaged,
        notes=(*data.notes, *asked.notes, *told_notes(used.told), *_filled(full)),
        skipped=(*data.skipped, *skipped),
    )


def _filled(pairs: int) -> tuple[str, ...]:
    """That objects leave nothing beside them to compare with."""
    told = f"Objects that fill the picture, of which no map can miss one: {counted(pairs, 'pair')}."
    return (told,) if pairs else ()


def shown_classes(
    data: LabelledPictures,
    files: np.ndarray,
    asked: ClassTargets,
    also: dict[str, tuple[int, ...]],
) -> Tensor:
    """Which classes each picture shows by all rows of the data, (pictures, classes).

    Args:
        data: whose rows they are.
        files: names of the pictures, in alphabetical order.
        asked: the classes.
        also: what pictures show beside the classes of their rows.
    """
    number = np.array(asked.number)
    own = data.table[data.table["image"].isin(files)]
    picture = np.searchsorted(files, own["image"].to_numpy(dtype=str))
    present = torch.zeros(len(files), len(asked.names), dtype=torch.bool)
    present[picture, torch.from_numpy(number[own["class"].to_numpy()])] = True
    for i, name in enumerate(files):
        present[i, number[list(also.get(name, ()))]] = True
    return present


def expect_all_usable(data: LabelledPictures, wrong: Sequence[Skipped], good: int) -> None:
    """Nothing that was read is wrong; else all of it is named at once.

    Raises:
        DataError: something is.
    """
    if not wrong:
        return
    rest = len(wrong) - _SHOWN
    more = f"\n… and {rest:,} more" if rest > 0 else ""
    named = sorted(wrong, key=lambda one: one.what)[:_SHOWN]
    listed = "\n".join(f"'{one.what}': {one.reason}" for one in named)
    raise DataError(
        f"{data.name}: {len(wrong):,} of {len(wrong) + good:,} picture files cannot be "
        f"used:\n{listed}{more}"
    )


def told_notes(told: Counter[str]) -> Iterable[str]:
    """What was done to pictures, a sentence for each kind."""
    for kind, count in sorted(told.items()):
        is_ = "is" if count == 1 else "are"
        yield f"{counted(count, 'picture')} {is_} {kind}."
