"""What every source of models is told beside a name and its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RANDOM = "random"
"""The word for random weights in the place of a tag or file."""
_SUFFIXES = {".pt", ".pth", ".ckpt", ".bin", ".safetensors"}


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


def looks_like_file(word: str) -> bool:
    """Whether a word names a checkpoint file, there or not, rather than a tag of a library."""
    return "/" in word or Path(word).suffix in _SUFFIXES or Path(word).is_file()


def random_weights_note(seed: int) -> str:
    """What a reader of the result is told of random weights."""
    return f"The weights of the model are random (seed {seed}), as asked for."
