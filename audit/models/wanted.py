"""What every source of models is told beside a name and its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RANDOM = "random"
"""The word for random weights in the place of a tag or file."""


@dataclass(frozen=True)
class Wanted:
    """How a model is to be loaded.

    Attributes:
        seed: of random weights.
        allow_download: fetch weights and tokenizer where they are not on this machine.
        tokenizer: a folder with a ``tokenizer.json``, in the place of the model's own tokenizer.
    """

    seed: int = 0
    allow_download: bool = False
    tokenizer: Path | None = None


def random_weights_note(seed: int) -> str:
    """What a reader of the result is told of random weights."""
    return f"The weights of the model are random (seed {seed}), as asked for."
