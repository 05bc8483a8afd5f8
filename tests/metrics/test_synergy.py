"""Synergy in closed form against its four terms, run through a model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.model import CLIP

from audit.metrics.synergy import KEPT_SHARES, most_relevant, synergy, synergy_curve

CONTEXT, EOS = 8, 49


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        vision = {"image_size": 16, "patch_size": 4, "width": 32, "head_width": 8, "layers": 2}
        text = {"context_length": CONTEXT, "vocab_size": 50, "width": 32, "heads": 4, "layers": 2}
        return CLIP(16, vision, text).eval()


@pytest.fixture(scope="module")
def pairs():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 16, 16, generator=generator)
    tokens = torch.randint(1, 48, (4, CONTEXT), generator=generator)
    content = torch.zeros(4, CONTEXT, dtype=torch.bool)
    for row, end in enumerate((3, 5, 7, 6)):
        tokens[row, end] = EOS
        tokens[row, end + 1 :] = 0
        content[row, 1:end] = True
    maps = torch.rand(4, 4, 4, generator=generator)
    return images, tokens, maps, torch.rand(4, CONTEXT, generator=generator), content


def unit(encode):
    return lambda x: encode(x, normalize=True)


@torch.no_grad()
def test_the_curve_is_its_four_terms(model, pairs):
    images, tokens, maps, token_maps, content = pairs
    found = synergy_curve(unit(model.encode_image), unit(model.encode_text), *pairs)

    def score(image, token):
        v = model.encode_image(image[None], normalize=True)
        return float((v * model.encode_text(token[None], normalize=True)).sum())

    for i in range(4):
        for number, share in enumerate(KEPT_SHARES):
            image, token = torch.zeros_like(images[i]), tokens[i].clone()
            patches = maps[i].flatten().argsort(descending=True)
            for patch in patches[: round(share * 16)].tolist():
                y, x = 4 * (patch // 4), 4 * (patch % 4)
                image[:, y : y + 4, x : x + 4] = images[i, :, y : y + 4, x : x + 4]
            places = content[i].nonzero().flatten()
            ranked = places[token_maps[i, places].argsort(descending=True)]
            token[ranked[round(share * len(ranked)) :]] = 0
            blank, silent = torch.zeros_like(image), tokens[i].masked_fill(content[i], 0)
            wanted = score(image, token) - score(image, silent) - score(blank, token)
            wanted += score(blank, silent)
            assert float(found.values[i, number]) == pytest.approx(wanted, abs=1e-6)
    assert not found.values[:, 0].any()


@torch.no_grad()
def test_one_pass_of_either_tower_for_each_share(model, pairs):
    runs = []

    def counted(encode):
        def features(x):
            runs.append(encode.__name__)
            return encode(x, normalize=True)

        return features

    synergy_curve(counted(model.encode_image), counted(model.encode_text), *pairs)
    assert sorted(runs) == ["encode_image"] * 12 + ["encode_text"] * 12  # 11 shares, and nothing


@given(st.lists(st.floats(-2, 2), min_size=16, max_size=16))
def test_closed_form(values):
    v, v0, t, t0 = torch.tensor(values, dtype=torch.float64).reshape(4, 4)
    four = v @ t - v @ t0 - v0 @ t + v0 @ t0
    torch.testing.assert_close(synergy(v, v0, t, t0), four, rtol=0, atol=1e-12)
    assert float(synergy(v0, v0, t, t0)) == float(synergy(v, v0, t0, t0)) == 0


def test_the_area_of_a_curve(model, pairs):
    with torch.no_grad():
        found = synergy_curve(
            unit(model.encode_image), unit(model.encode_text), *pairs, shares=(0.0, 0.5, 1.0)
        )
    wanted = 0.25 * (found.values[:, 0] + 2 * found.values[:, 1] + found.values[:, 2])
    torch.testing.assert_close(found.area, wanted)


def test_most_relevant():
    relevance = torch.tensor([[0.1, 0.9, 0.9, 0.5]])
    among = torch.tensor([[True, True, True, False]])
    assert most_relevant(relevance, among, 1 / 3).tolist() == [[False, True, False, False]]
    assert most_relevant(relevance, among, 1).tolist() == among.tolist()
    assert not most_relevant(relevance, among, 0).any()


@pytest.mark.parametrize("shares", [(), (0.5, 0.2), (-0.1, 1.0), (0.0, 1.2)])
def test_shares_that_do_not_ascend(pairs, shares):
    with pytest.raises(ValueError, match="expected ascending shares within"):
        synergy_curve(lambda x: x, lambda x: x, *pairs, shares=shares)
