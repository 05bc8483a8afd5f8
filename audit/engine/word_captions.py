"""The words of a pair's text, colored by the map of its tokens, in a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from audit.engine.text_overlay import Encode, Word, words_of
from audit.evidence.kinds import Evidence
from audit.result.figures import ColoredWord, PairFigure

_LEVELS: Final = 4
_DIGITS: Final = 3


def with_words(
    figures: Sequence[PairFigure], evidence: Evidence, encode: Encode
) -> list[PairFigure]:
    """Figures of pairs with the words of their texts, where the maps of tokens are known.

    Those of which the effects of tokens were measured have them. A text whose words cannot be told
    apart by its tokens has none.

    Args:
        figures: of pairs.
        evidence: of the audit.
        encode: gives texts as token ids, a row each.
    """
    effects, reference = evidence.effects, evidence.reference
    if effects is None or reference is None or not effects.of_tokens:
        return list(figures)
    rows = {reference.ids[int(pair)]: row for row, pair in enumerate(effects.pairs)}
    texts = dict(zip(reference.ids, reference.texts, strict=True))
    found = []
    for figure in figures:
        row = rows.get(figure.pair)
        if row is not None:
            values = torch.from_numpy(effects.token_maps[row, 0])
            words = colored_words(texts[figure.pair], values, encode)
            figure = figure.model_copy(update={"words": words})  # noqa: PLW2901
        found.append(figure)
    return found


def colored_words(text: str, token_map: torch.Tensor, encode: Encode) -> list[ColoredWord]:
    """The words of a text with how far each one is from the most relevant; none if not known."""
    try:
        words = words_of(text, token_map, encode)
    except ValueError:
        return []
    most = max((abs(w.relevance) for w in words if w.relevance is not None), default=0.0)
    return [_colored(word, most) for word in words]


def _colored(word: Word, most: float) -> ColoredWord:
    if word.relevance is None:
        return ColoredWord(text=word.text, relevance=None, level=0)
    level = round(_LEVELS * word.relevance / most) if most > 0 else 0
    return ColoredWord(
        text=word.text, relevance=float(f"{word.relevance:.{_DIGITS}g}"), level=level
    )
