"""Names of the classes of a class head, and the class that a text means."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from audit.models.errors import ModelError, UnknownClassError
from audit.nearest_name import hint

_SHOWN = 3


@dataclass(frozen=True)
class ClassNames:
    """Names of classes by id.

    Attributes:
        names: one a class.
        others: further names by class, such as synonyms; a text means a class by these where no
            class has it as its name.
        notes: what a reader of the result should know of the names, as sentences.
    """

    names: tuple[str, ...]
    others: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids: dict[str, int] = {}
        for tables in (
            ((name,) for name in self.names),
            ((_plain(name),) for name in self.names),
            (tuple(map(_plain, names)) for names in self.others),
            (tuple(map(_plain, name.split(","))) for name in self.names),
            ((str(i),) for i in range(len(self.names))),
        ):
            for i, names in enumerate(tables):
                for name in names:
                    ids.setdefault(name, i)
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def of(cls, names: Iterable[object], others: Sequence[Sequence[str]] = ()) -> ClassNames:
        """Names in the order of their ids; what occurs twice is told.

        Raises:
            ModelError: there is no name.
        """
        listed = tuple(str(name) for name in names)
        if not listed:
            raise ModelError("expected the names of the model's classes, got none; list them")
        twice = [name for name, count in Counter(listed).items() if count > 1]
        told = (
            f"{len(twice)} names stand for several classes of the model and are taken for the "
            f"first of them: {', '.join(twice[:_SHOWN])}{' …' if len(twice) > _SHOWN else ''}."
        )
        return cls(listed, tuple(tuple(o) for o in others), (told,) if twice else ())

    @classmethod
    def numbered(cls, count: int, why: str) -> ClassNames:
        """Classes without names, which are called by their numbers, and why."""
        told = f"{why}, so that its {count:,} classes are called by their numbers from 0."
        return cls(tuple(str(i) for i in range(count)), (), (told,))

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, texts: Sequence[str]) -> Int[Tensor, " texts"]:
        """The class that each text names.

        By its name, without regard to case or ``_`` for a space, by a synonym, or by its number
        from 0.

        Raises:
            UnknownClassError: texts that name none.
        """
        unknown = [t for t in texts if t not in self._ids and _plain(t) not in self._ids]
        if unknown:
            rest = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
            raise UnknownClassError(
                f"unknown class '{unknown[0]}'{rest}{hint(_plain(unknown[0]), self._ids)}; "
                f"expected one of the model's {len(self):,} classes, such as "
                f"{', '.join(self.names[:_SHOWN])}, by name or number",
                unknown,
            )
        return torch.tensor(
            [self._ids[t] if t in self._ids else self._ids[_plain(t)] for t in texts]
        )


def class_names(count: int, given: Sequence[str] | None, whose: str) -> ClassNames:
    """Names for the classes of a library's model.

    Args:
        count: of classes.
        given: by the model's configuration, or None.
        whose: classes they are, for the note where no names are known.
    """
    if count == 1000:
        known = imagenet()
        if given is None or len(given) != count or _generic(given):
            return known
        return ClassNames.of(
            given, [(n, *o) for n, o in zip(known.names, known.others, strict=True)]
        )
    if given is not None and len(given) == count and not _generic(given):
        return ClassNames.of(given)
    return ClassNames.numbered(count, f"{whose} has no names of its classes")


@functools.cache
def imagenet() -> ClassNames:
    """The 1,000 classes of ImageNet: torchvision's names, and timm's synonyms and synsets."""
    from timm.data.imagenet_info import ImageNetInfo
    from torchvision.models import ResNet18_Weights

    info = ImageNetInfo("imagenet-1k")
    synonyms = [
        (info.index_to_label_name(i), *info.index_to_description(i).split(", "))
        for i in range(info.num_classes())
    ]
    return ClassNames.of(ResNet18_Weights.DEFAULT.meta["categories"], synonyms)


def _generic(names: Sequence[str]) -> bool:
    """Whether names are those that transformers gives to classes without any."""
    return all(name == f"LABEL_{i}" for i, name in enumerate(names))


def _plain(text: str) -> str:
    """A name without regard to case and spaces; names of folders have ``_`` in their place."""
    return " ".join(text.casefold().replace("_", " ").split())
