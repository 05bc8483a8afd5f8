"""A caption whose words are colored by the map of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Encode = Callable[[Sequence[str]], Int[Tensor, "texts context"]]
_SIZE, _GAP, _PAD = 22, 6, 5
GREEN, RED, MISSING = (0, 150, 60), (200, 0, 30), (225, 225, 225)


@dataclass(frozen=True)
class Word:
    """A word of the caption.

    Attributes:
        text: the word.
        relevance: of its tokens, added; None where it has none, as the text was cut off before it.
    """

    text: str
    relevance: float | None


def words_of(text: str, token_map: Float[Tensor, " context"], encode: Encode) -> list[Word]:
    """The words of a text with the relevance of their tokens, added.

    Which tokens a word has is told by how much longer the encoded text becomes with it, so that no
    tokenizer needs to be known.

    Args:
        text: words with spaces between them.
        token_map: relevance of each token.
        encode: gives texts as token ids, a row each.

    Raises:
        ValueError: the tokens of the words do not follow one another in those of the text.
    """
    words = text.split()
    rows = encode(["", *(" ".join(words[: n + 1]) for n in range(len(words)))]).cpu()
    whole, first = rows[-1], _first_difference(rows[0], rows[-1])
    lengths = [_length(row, int(rows[0, -1])) for row in rows]
    ends = [first + length - lengths[0] for length in lengths]
    last = lengths[-1] - (lengths[0] - first)  # what closes a text stays where it is cut off
    found = []
    for word, row, start, end in zip(words, rows[1:], ends, ends[1:], strict=False):
        stop = min(end, last)
        if not bool((row[first:stop] == whole[first:stop]).all()):
            raise ValueError(
                f"expected the tokens of '{word}' behind those of the words before it, found "
                f"others in '{text}'; its words cannot be shown, read token_maps in Python"
            )
        part = token_map[start:stop]
        found.append(Word(word, float(part.sum()) if len(part) else None))
    return found


def _first_difference(one: Int[Tensor, " context"], other: Int[Tensor, " context"]) -> int:
    differing = (one != other).nonzero()
    return int(differing[0]) if len(differing) else len(one)


def _length(row: Int[Tensor, " context"], padding: int) -> int:
    """Tokens before the padding."""
    other = (row != padding).nonzero()
    return int(other[-1]) + 1 if len(other) else 0


def color_of(relevance: float | None, most: float) -> tuple[int, int, int]:
    """From red over white to green, as the relevance is to the largest absolute one."""
    if relevance is None:
        return MISSING
    share = min(1.0, abs(relevance) / most) if most > 0 else 0.0
    end = GREEN if relevance > 0 else RED
    red, green, blue = (round(255 + share * (c - 255)) for c in end)
    return red, green, blue


def caption(words: Sequence[Word], width: int) -> Image.Image:
    """The words on their colors, in as many lines as they need.

    Args:
        words: with their relevance.
        width: of the picture, in pixels.
    """
    font = ImageFont.load_default(_SIZE)
    most = max((abs(w.relevance) for w in words if w.relevance is not None), default=0.0)
    height = _SIZE + 4 * _PAD
    boxes, x, y = [], _GAP, _GAP
    for word in words:
        wide = int(font.getlength(word.text)) + 2 * _PAD
        if x > _GAP and x + wide + _GAP > width:
            x, y = _GAP, y + height + _GAP
        boxes.append((word, x, y, wide))
        x += wide + _GAP
    picture = Image.new("RGB", (width, y + height + _GAP), "white")
    draw = ImageDraw.Draw(picture)
    for word, left, top, wide in boxes:
        color = color_of(word.relevance, most)
        draw.rectangle((left, top, left + wide, top + height), fill=color, outline=MISSING)
        ink = "white" if np.dot(color, (0.3, 0.6, 0.1)) < 110 else "black"
        draw.text((left + _PAD, top + _PAD), word.text, fill=ink, font=font)
    return picture


def in_numbers(words: Sequence[Word]) -> str:
    """The words with their relevance, for a terminal."""
    each = [
        f"{w.text} (cut off)" if w.relevance is None else f"{w.text} {w.relevance:+.2g}"
        for w in words
    ]
    return ", ".join(each)
