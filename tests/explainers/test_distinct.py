"""Distinct rows against a search in a dictionary of bytes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.explainers.distinct import distinct_rows, target_features
from audit.models.module_interface import EncodingTowers


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.int64]),
)
def test_distinct_rows(kinds, dtype):
    table = torch.tensor([[0.0, 1, 2], [0, 1, 3], [-1, 1, 2], [7, 7, 7]]).to(dtype)
    rows = table[kinds].reshape(len(kinds), 3, 1)
    seen = {}
    expected = [seen.setdefault(row.float().numpy().tobytes(), len(seen)) for row in rows]
    found = distinct_rows(rows)
    assert found.of.tolist() == expected
    assert found.first.tolist() == [expected.index(place) for place in range(len(seen))]


def test_a_last_bit_makes_a_picture_another():
    rows = torch.ones(3, 3, 4, 4)
    rows[1, 2, 3, 3] += torch.finfo(torch.float32).eps
    assert distinct_rows(rows).of.tolist() == [0, 1, 0]


def test_rows_that_lie_apart_in_memory():
    rows = torch.randn(4, 3, 8, 8)[:2].repeat(2, 1, 1, 1)[:, :, ::2].mT
    assert distinct_rows(rows).of.tolist() == [0, 1, 0, 1]


def test_each_text_runs_once(clip, pairs, monkeypatch):
    tokens = pairs[1][[0, 1, 0, 2, 1]]
    expected = clip.encode_text(tokens, normalize=True).detach()
    ran = []
    plain = clip.encode_text
    monkeypatch.setattr(
        clip, "encode_text", lambda t, **options: (ran.append(len(t)), plain(t, **options))[1]
    )
    found = target_features(EncodingTowers(), clip, tokens)
    assert ran == [3]
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("share", [1, 4, 8])
def test_trunk_runs_once_for_each_picture(clip, build_pairs, share):
    from audit.explainers.grad_eclip import grad_eclip

    rows = []
    handle = clip.visual.transformer.resblocks[0].register_forward_hook(
        lambda _m, args, _o: rows.append(len(args[0]))
    )
    try:
        grad_eclip(clip, *build_pairs(8, share=share))
    finally:
        handle.remove()
    assert rows == [8 // share]
