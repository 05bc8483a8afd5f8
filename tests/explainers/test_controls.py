"""The controls: what they depend on, and how they are distributed."""

import math

import pytest
import torch
from scipy import stats

from audit.explainers.contract import Explainer, Explanation
from audit.explainers.controls import center_prior, edges, inverted, random
from audit.explainers.registry import load_explainer


def test_random_is_uniform_and_independent(clip, build_pairs):
    maps = random(clip, *build_pairs(400))
    assert stats.kstest(maps.flatten().numpy(), "uniform").pvalue > 1e-3
    across = torch.corrcoef(maps.flatten(1).T)
    assert float((across - torch.eye(16)).abs().max()) < 5 / math.sqrt(400)


def test_random_follows_the_picture_to_the_bit(clip, build_pairs):
    images, tokens = build_pairs(4, share=2)
    maps = random(clip, images, tokens)
    assert torch.equal(maps[0], maps[1])
    nudged = images.clone()
    nudged[0, 2, 31, 31] = torch.nextafter(nudged[0, 2, 31, 31], torch.tensor(9.0).double())
    other = random(clip, nudged, tokens)
    assert torch.equal(other[1:], maps[1:])
    assert not bool((other[0] == maps[0]).any())
    assert not bool((random(clip, images, tokens, seed=1) == maps).any())


def test_random_is_the_same_on_every_machine(clip):
    images = torch.arange(3 * 32 * 32, dtype=torch.float32).reshape(1, 3, 32, 32)
    found = random(clip, images, torch.zeros(1, 16, dtype=torch.long))[0, 0]
    state = sum(
        int(bits) * (mix(place + 1) | 1)
        for place, bits in enumerate(images.flatten().view(torch.int32).tolist())
    )
    expected = [(mix(mix(state) + i * 0x9E3779B97F4A7C15) >> 40) / 2**24 for i in range(4)]
    assert found.tolist() == expected


def mix(x):
    """SplitMix64's finalizer in unsigned Python integers."""
    x %= 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def test_center_prior(wide_clip, build_pairs):
    found = center_prior(wide_clip, *build_pairs(2, size=(24, 40)))
    for row in range(3):
        for column in range(5):
            y, x = (row + 0.5) / 3 - 0.5, (column + 0.5) / 5 - 0.5
            expected = math.exp(-(y * y + x * x) / (2 * 0.25**2))
            assert float(found[1, row, column]) == pytest.approx(expected, rel=1e-5)


def test_edges(clip):
    images = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    images[..., 12:] = 1
    found = edges(clip, images, torch.zeros(1, 16, dtype=torch.long))[0]
    # a step of height 1 has Sobel magnitude 4 in the two columns beside it, of a patch's eight
    expected = torch.tensor([0, 1, 0, 0], dtype=torch.float64).expand(4, 4)
    torch.testing.assert_close(found, expected)
    turned = edges(clip, images.mT, torch.zeros(1, 16, dtype=torch.long))[0]
    torch.testing.assert_close(turned, expected.T)


def test_inverted_keeps_all_but_the_maps(clip, pairs):
    given = Explanation(
        torch.tensor([[[1.0, -2.0]], [[0.0, 4.0]]]), torch.ones(2), torch.ones(2, 3)
    )
    explainer = Explainer("mine", lambda *_: given, summary="Draws.", text_specific=False)
    flipped = inverted(explainer)
    found = flipped.explain(clip, pairs[0][:2], pairs[1][:2])
    assert found.maps.tolist() == [[[0.0, 3.0]], [[4.0, 0.0]]]
    assert torch.equal(found.scores, given.scores)
    assert torch.equal(found.token_maps, given.token_maps)
    assert (flipped.name, flipped.text_specific) == ("inverted:mine", False)
    assert flipped.summary == "Inverse of: Draws."


def test_inverted_of_a_modified_explainer_has_an_inverted_twin():
    assert load_explainer("inverted:grad-attention").faithful_twin is None
    twin = load_explainer("inverted:grad-eclip").faithful_twin
    assert twin == "inverted:grad-eclip?weight=projected&heads=model&input=model"
    assert load_explainer(twin).options["heads"] == "model"
