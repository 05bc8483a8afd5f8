"""Token rows for a text tower with random weights whose tokenizer is not at hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

_RESERVED = 4  # padding, begin, end and unknown are the first ids of most vocabularies


@dataclass(frozen=True)
class RandomTokens:
    """One row of random tokens a text, the same for the same text and seed.

    To random weights the tokens of a text mean nothing, so that any rows will do that differ. The
    last token is the one of the highest number, where open_clip and CLIP pool.

    Attributes:
        context: tokens of a row.
        vocabulary: of the model.
        seed: of the draw.
    """

    CONTEXT: ClassVar[int] = 77
    VOCABULARY: ClassVar[int] = 49_408
    context: int
    vocabulary: int
    seed: int

    def __call__(self, texts: list[str]) -> Int[Tensor, "texts context"]:
        """A row for each text."""
        return torch.stack([self._row(text) for text in texts])

    def _row(self, text: str) -> Int[Tensor, " context"]:
        digest = hashlib.sha256(f"{self.seed}\0{text}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        least = min(_RESERVED, self.vocabulary - 2)
        row = torch.randint(least, self.vocabulary - 1, (self.context,), generator=generator)
        row[-1] = self.vocabulary - 1
        return row

    def note(self, tokenizer: str) -> str:
        """What a reader of the result is told of them."""
        return (
            f"The tokenizer '{tokenizer}' is not at hand; since the weights are random, each text "
            f"is a row of random tokens, drawn from the text and the seed {self.seed}."
        )
