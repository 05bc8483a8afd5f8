"""Smaller batches, where memory does not hold what was tried.

A batch of pairs is as large as suits the model (`audit.evidence.context.batch_size_for`); what an
explainer or a GPU makes of it is not known before. Where memory runs out, batches are halved for
the rest of the audit, which is written down with the evidence: the last digits may be others than
those of an audit that did not have to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch

T = TypeVar("T")
_FILE = "batches.json"
_SAID = ("can't allocate memory", "not enough memory", "out of memory", "status_alloc_failed")


@runtime_checkable
class Limited(Protocol):
    """A model, as far as batches go: `audit.models.model_under_audit.ModelUnderAudit`."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    @property
    def largest_batch(self) -> int | None:
        """Pairs that memory holds at a time, where that was found out."""


def in_batches_that_fit(
    model: Limited, size: Callable[[], int], folder: Path | None, work: Callable[[], T]
) -> T:
    """What work gives, with batches halved until memory holds them.

    Where memory does not hold one pair either, batches are for other work as they were before.

    Args:
        model: whose batches it works in.
        size: pairs per batch, as they are now.
        folder: of the evidence, where smaller batches are written down; None for nowhere.
        work: to do; begun anew where memory runs out, and what it raises is raised.
    """
    before = model.largest_batch
    while True:
        try:
            return work()
        except Exception as error:
            if not _is_of_memory(error):
                raise
            if size() == 1:
                _limit(model, before, folder)
                raise
        _limit(model, size() // 2, folder)
        if model.device.type == "cuda":
            torch.cuda.empty_cache()


def resume_batches(model: Limited, folder: Path) -> None:
    """Go on with batches as small as those of the evidence that is there already."""
    try:
        pairs = int(json.loads((folder / _FILE).read_text())["pairs"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if pairs > 0:
        _limit(model, pairs)


def forget_batches(folder: Path) -> None:
    """Begin with batches as large as suit the model."""
    (folder / _FILE).unlink(missing_ok=True)


def batch_notes(model: Limited) -> list[str]:
    """What a reader should know, where batches are smaller than suits the model."""
    if model.largest_batch is None:
        return []
    note = (
        "Memory did not hold the batches that suit the model: they were halved to at most "
        f"{model.largest_batch}. The last digits of scores and maps may differ from those of an "
        "audit with more memory."
    )
    return [note]


def _limit(model: Limited, pairs: int | None, folder: Path | None = None) -> None:
    """Batches of so many pairs at most from here on, which is written down where it is a folder."""
    object.__setattr__(model, "largest_batch", pairs)
    if folder is not None and pairs is None:
        forget_batches(folder)
    elif folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FILE).write_text(json.dumps({"pairs": pairs}))


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, by the error or by what it came from."""
    seen = set[int]()
    while error is not None and id(error) not in seen:  # an error may be its own cause
        told = isinstance(error, RuntimeError) and any(one in str(error).lower() for one in _SAID)
        if told or isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
