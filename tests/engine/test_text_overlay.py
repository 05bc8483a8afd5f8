"""A caption colored by the map of its tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.engine.text_overlay import GREEN, MISSING, RED, Word, caption, color_of, words_of

START, END, CONTEXT = 98, 99, 12


def encode(texts):
    """A token for each two letters of a word; the start first, the end last, then padding."""
    rows = []
    for text in texts:
        pieces = [word[i : i + 2] for word in text.split() for i in range(0, len(word), 2)]
        ids = [1 + sum(map(ord, piece)) % 90 for piece in pieces][: CONTEXT - 2]
        row = [START, *ids, END]
        rows.append([*row, *[0] * (CONTEXT - len(row))])
    return torch.tensor(rows)


def bare(texts):
    """The same without a start."""
    return torch.cat([encode(texts)[:, 1:], torch.zeros(len(texts), 1, dtype=torch.long)], 1)


@given(st.lists(st.text("abcdef", min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_word_has_the_relevance_of_its_tokens(words):
    values = torch.arange(CONTEXT, dtype=torch.float64) ** 2
    for code, first in ((encode, 1), (bare, 0)):
        found = words_of(" ".join(words), values, code)
        assert [w.text for w in found] == words
        place = first
        for word in found:
            count = -(-len(word.text) // 2)
            tokens = range(place, min(place + count, first + CONTEXT - 2))
            wanted = sum(float(values[t]) for t in tokens) if tokens else None
            assert word.relevance == wanted
            place += count


def test_a_text_that_fills_its_context_and_one_that_is_cut_off():
    values = torch.ones(CONTEXT)
    full = words_of("aabbcc ddeeff aabbccdd", values, encode)  # ten tokens, as many as there may be
    assert [w.relevance for w in full] == [3, 3, 4]
    cut = words_of("aabbcc ddeeff aabbccdd ee ff", values, encode)
    assert [w.relevance for w in cut] == [3, 3, 4, None, None]


def test_tokens_that_span_words_are_told():
    def joined(texts):
        return encode([text.replace(" ", "") for text in texts])

    with pytest.raises(ValueError, match="expected the tokens of 'abc' behind those of the words"):
        words_of("abc def", torch.ones(CONTEXT), joined)


def test_colors():
    assert color_of(0.0, 1.0) == (255, 255, 255)
    assert color_of(2.0, 2.0) == GREEN
    assert color_of(-2.0, 2.0) == RED
    assert color_of(None, 1.0) == MISSING
    assert color_of(0.0, 0.0) == (255, 255, 255)
    half = color_of(1.0, 2.0)
    assert all(abs(h - (255 + g) / 2) <= 1 for h, g in zip(half, GREEN, strict=True))


def test_the_caption_holds_every_color_and_wraps():
    words = [Word("red", 1.0), Word("solid", -1.0), Word("disk", 0.0), Word("cut", None)]
    wide, narrow = caption(words, 600), caption(words, 90)
    assert wide.width == 600
    assert narrow.height > wide.height
    for picture in (wide, narrow):
        seen = {tuple(int(c) for c in p) for p in np.asarray(picture).reshape(-1, 3)}
        assert {GREEN, RED, MISSING} <= seen
