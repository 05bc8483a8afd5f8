"""Pairs of pictures and texts, as every part of the audit reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Skipped:
    """Something of the data that the audit leaves out, and why."""

    what: str
    reason: str


def left_out(skipped: Sequence[Skipped]) -> str:
    """How much was left out and the first reason, to follow a message; empty where nothing was."""
    if not skipped:
        return ""
    first = skipped[0]
    return f"; {len(skipped):,} left out, first '{first.what}': {first.reason}"


@runtime_checkable
class ModelInputs(Protocol):
    """How pictures and texts enter a model, such as `audit.models.model_under_audit` describes."""

    @property
    def uses_templates(self) -> bool:
        """Whether class names stand in prompts, rather than being targets by themselves."""

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is."""

    def encode(self, texts: list[str]) -> Int[Tensor, "texts ..."]:
        """Texts as the model's targets.

        Raises:
            UnknownNamesError: names of classes that a model with a class head does not have.
        """


@dataclass(frozen=True)
class OtherNames:
    """The classes of some data in other words, each in the place of the usual ones.

    Attributes:
        classes: names, in the order of the usual ones.
        targets: token ids of their prompts, (classes, context).
    """

    classes: tuple[str, ...]
    targets: Int[Tensor, "classes context"]


@dataclass(frozen=True)
class Pairs:
    """Pictures, texts and masks, already at the model's resolution, on the CPU.

    A pair is a picture and the prompt of a class that is present in it; a picture with several
    objects gives several pairs, which share its row of `images`. What is drawn and split as a whole
    is the `cluster`: the picture, or the set of grids that are composed of the same photographs.

    Attributes:
        name: what the data is called in reports.
        ids: one per pair, unique.
        images: preprocessed pictures, (pictures, 3, H, W).
        picture: the picture of each pair, (pairs,).
        labels: the class of each pair's text, (pairs,).
        present: which classes each picture shows, (pictures, classes).
        masks: where the object of each pair is, (pairs, H, W), or None.
        classes: class names.
        templates: prompt templates with one ``{}``; the first is the text of a pair. Where there
            are several, class scores are those of `averaged`.
        targets: of every class: token ids of its prompt, (classes, context), or its id, (classes,).
        averaged: token ids of every class in every template, over which the features of a class
            are averaged for its scores; None where class scores are those of `targets`.
        balanced: whether objects stand everywhere alike by construction, so that positions tell
            nothing of them.
        notes: what a reader of the result should know of the data, as sentences.
        skipped: what was left out of the data, and why.
        grid: cells of a picture on either side, where pictures are grids of several; else 0.
        sets: the set of grids that each pair belongs to, (pairs,); None without grids.
        other_names: the same classes in other words, which a model may know less or better.
        sha256: hash of everything but the notes and what was skipped.
    """

    name: str
    ids: tuple[str, ...]
    images: Float[Tensor, "pictures 3 H W"]
    picture: Int[Tensor, " pairs"]
    labels: Int[Tensor, " pairs"]
    present: Bool[Tensor, "pictures classes"]
    masks: Bool[Tensor, "pairs H W"] | None
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    targets: Int[Tensor, "classes ..."]
    averaged: Int[Tensor, "templates classes context"] | None = None
    balanced: bool = False
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    grid: int = 0
    sets: Int[Tensor, " pairs"] | None = None
    other_names: tuple[OtherNames, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cluster(self) -> Int[Tensor, " pairs"]:
        """What each pair is drawn and split with: the set of its grid, else its picture."""
        return self.picture if self.sets is None else self.sets

    @property
    def sha256(self) -> str:
        """Hash of pictures, texts, labels and masks."""
        digest = hashlib.sha256(repr((self.ids, self.classes, self.templates)).encode())
        arrays = [self.images, self.picture, self.labels, self.present, self.targets, self.masks]
        arrays += [self.averaged, self.sets, *(other.targets for other in self.other_names)]
        for array in arrays:
            if array is not None:
                digest.update(np.ascontiguousarray(array.numpy()).tobytes())
        return digest.hexdigest()

    def text(self, pair: int) -> str:
        """The text of a pair."""
        return self.templates[0].format(self.classes[int(self.labels[pair])])

    def in_other_words(self) -> Pairs:
        """The same pairs with the names of all classes in a row: the usual ones, then the others.

        A class of number c is also that of number c + classes * n by its nth other names.
        """
        names, targets, shown = [self.classes], [self.targets], 1 + len(self.other_names)
        names += [other.classes for other in self.other_names]
        targets += [other.targets for other in self.other_names]
        return replace(
            self,
            classes=tuple(name for one in names for name in one),
            targets=torch.cat(targets),
            present=self.present.repeat(1, shown),
            averaged=None,
            other_names=(),
        )

    def asked_by(self, pairs: list[int], names: list[int]) -> Pairs:
        """Some of the pairs, each asked for by a name of its class.

        Args:
            pairs: their numbers.
            names: of each, a number in `in_other_words`.
        """
        usual, drawn = len(self.classes), self.in_other_words().select(pairs)
        ids = (
            pair if name < usual else f"{pair} as {drawn.classes[name]}"
            for pair, name in zip(drawn.ids, names, strict=True)
        )
        return replace(drawn, ids=tuple(ids), labels=torch.tensor(names))

    def select(self, pairs: list[int]) -> Pairs:
        """Some of the pairs, in the order given; pictures that none of them uses are dropped."""
        index = torch.as_tensor(pairs, dtype=torch.long)
        used, picture = torch.unique(self.picture[index], return_inverse=True)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in pairs),
            images=self.images[used],
            picture=picture,
            labels=self.labels[index],
            present=self.present[used],
            masks=None if self.masks is None else self.masks[index],
            sets=None if self.sets is None else self.sets[index],
        )

    def batch(
        self, pairs: slice | Tensor, device: torch.device | str, dtype: torch.dtype
    ) -> tuple[Float[Tensor, "b 3 H W"], Int[Tensor, "b ..."]]:
        """Images and targets of some pairs, on the device."""
        images = self.images[self.picture[pairs]].to(device=device, dtype=dtype)
        return images, self.targets[self.labels[pairs]].to(device)
