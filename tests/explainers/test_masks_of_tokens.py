"""TIS, ViT-CX and SkipPLUS against other ways to say the same."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import AgglomerativeClustering, KMeans
from torch.nn import functional

from audit.explainers.attcat import attcat
from audit.explainers.grad_sam import grad_sam
from audit.explainers.skip_plus import skip_plus
from audit.explainers.tis import tis
from audit.explainers.vit_cx import channel_masks, vit_cx
from audit.models.anatomy import anatomy_of
from tests.slow_blocks import feature_of, slow_slopes, text_of


@pytest.fixture(scope="module")
def shown(wide_clip, build_pairs):
    return (wide_clip, *build_pairs(3, size=(24, 40), share=2))


def centers_of(rows, count, seed):
    """Centers of K-means: each is the mean of the rows that are nearest to it."""
    found = KMeans(count, init="random", n_init=1, random_state=seed).fit(rows).cluster_centers_
    nearest = np.argmin(((rows[:, None] - found) ** 2).sum(-1), axis=1)
    for number, center in enumerate(found):
        np.testing.assert_allclose(center, rows[nearest == number].mean(0), rtol=0, atol=1e-9)
    return found


@pytest.mark.parametrize("keep", [0.5, 0.2])
def test_tis_is_a_run_in_which_nothing_looks_at_the_other_patches(shown, keep):
    """Tokens that are taken away, said as tokens whose keys no query sees."""
    model, images, tokens = shown
    found = tis(*shown, masks=7, keep=keep, seed=3)
    kept = int(keep * 15)
    with torch.no_grad():
        for i in range(3):
            x = start = model.visual._embeds(images[i, None])  # noqa: SLF001 - open_clip's own
            rows = []
            for block in model.visual.transformer.resblocks:
                x = block(x)
                rows.extend(x[0, 1:].T)
            scores, masks = [], []
            for center in centers_of(torch.stack(rows).numpy(), 7, 3):
                mask = torch.zeros(15, dtype=torch.float64)
                mask[np.argsort(-center)[:kept].copy()] = 1
                seen = torch.cat([torch.ones(1), mask]).log()[None].expand(16, -1)
                y = start
                for block in model.visual.transformer.resblocks:
                    y = block(y, attn_mask=seen)
                scores.append(feature_of(model, y[0, 0]) @ text_of(model, tokens[i]))
                masks.append(mask)
            masks, scores = torch.stack(masks), torch.stack(scores)
            wanted = (masks * scores[:, None]).sum(0) / masks.sum(0)
            wanted = torch.where(masks.sum(0) == 0, scores.mean(), wanted)
            torch.testing.assert_close(found.maps[i].flatten(), wanted, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.scores, anatomy_of(model).scores(images, tokens))


def test_masks_that_keep_every_patch_give_the_score_everywhere(shown):
    found = tis(*shown, masks=2, keep=1)
    torch.testing.assert_close(found.maps, found.scores[:, None, None].expand(-1, 3, 5))


@pytest.mark.parametrize("option", [{"masks": 0}, {"keep": 0.0}, {"keep": 0.01}, {"keep": 1.5}])
def test_tis_with_nothing_to_keep(shown, option):
    with pytest.raises(ValueError, match="expected masks of at least 1 and keep in"):
        tis(*shown, **option)


@pytest.mark.parametrize("distance", [0.1, 0.02])
def test_vit_cx(shown, distance):
    model, images, tokens = shown
    found = vit_cx(*shown, distance=distance, noise=0.1, seed=4)
    with torch.no_grad():
        for i in range(3):

            def score(x, token=tokens[i, None]):
                return anatomy_of(model).scores(x[None], token)[0]

            masks = slow_masks(model, images[i], distance)
            generator = torch.Generator().manual_seed(4)
            total, cover = torch.zeros(24, 40).double(), torch.zeros(24, 40).double()
            for mask in masks:
                hidden = 0.1 * torch.randn(3, 24, 40, generator=generator).double() * (1 - mask)
                gain = score(images[i] * mask + hidden) - score(images[i] + hidden)
                total += (gain + score(images[i])) * mask
                cover += mask
            wanted = (total / cover / len(masks)).unflatten(0, (3, 8)).unflatten(2, (5, 8))
            torch.testing.assert_close(found.maps[i], wanted.mean((1, 3)), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found.scores, anatomy_of(model).scores(images, tokens).detach())


def slow_masks(model, image, distance):
    x = model.visual._embeds(image[None])  # noqa: SLF001 - open_clip's own
    for block in model.visual.transformer.resblocks[:2]:
        x = block(x)
    channels = model.visual.transformer.resblocks[2].ln_1(x)[0, 1:].T.reshape(1, 32, 3, 5)
    large = functional.interpolate(channels, size=(24, 40), mode="bilinear")[0]
    scaled = torch.stack([(c - c.min()) / (c.max() - c.min()) for c in large])
    tree = linkage(scaled.flatten(1).numpy(), "complete", "cosine")
    names = fcluster(tree, distance, "distance")
    order = list(dict.fromkeys(ordered(scaled, names, distance)))
    sums = [scaled[torch.as_tensor(names == name)].sum(0) for name in order]
    return [(s - s.min()) / (s.max() - s.min()) for s in sums]


def ordered(scaled, names, distance):
    """The clusters in scikit-learn's order, in which noise is drawn."""
    found = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="complete", distance_threshold=distance
    ).fit_predict(scaled.flatten(1).numpy())
    assert len({*zip(found, names, strict=True)}) == len(set(names)) == len(set(found))
    return [names[list(found).index(label)] for label in range(len(set(found)))]


def test_vit_cx_without_noise_and_with_one_mask(shown):
    """One cluster: its weight is what the picture under the mask scores."""
    model, images, tokens = shown
    found = vit_cx(*shown, distance=2.0, noise=0.0)
    with torch.no_grad():
        for i in range(3):
            (mask,) = channel_masks(anatomy_of(model).image, images[i], 2.0)
            torch.testing.assert_close(mask, slow_masks(model, images[i], 2.0)[0])
            score = anatomy_of(model).scores(images[i, None] * mask, tokens[i, None])
            wanted = (score * (mask > 0)).unflatten(0, (3, 8)).unflatten(2, (5, 8)).mean((1, 3))
            torch.testing.assert_close(found.maps[i], wanted)


@pytest.mark.parametrize("start", [None, 0, 2])
@pytest.mark.parametrize("attribution", ["cat", "attcat", "attention"])
def test_skip_plus(shown, attribution, start):
    model, images, tokens = shown
    found = skip_plus(*shown, attribution=attribution, start=start)
    first = 1 if start is None else start
    for i in range(3):
        run, by_attention, by_states = slow_slopes(model, images[i], text_of(model, tokens[i]))
        total = torch.zeros(16, dtype=torch.float64)
        for block in range(first, 3):
            if attribution == "attention":
                for a, g in zip(run.attention[block], by_attention[block], strict=True):
                    total += a[0] * g[0].clamp(min=0) / 4
                continue
            cat = (run.states[block] * by_states[block]).sum(-1)
            total += cat * (run.attention[block].mean((0, 1)) if attribution == "attcat" else 1)
        wanted = total[1:].reshape(3, 5).detach()
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("start", [0, 1, -1])
def test_skip_plus_is_attcat_and_grad_sam_from_a_block_on(shown, start):
    plain = skip_plus(*shown, start=start).maps
    torch.testing.assert_close(plain, attcat(*shown, start=start).maps, rtol=0, atol=1e-13)
    added = skip_plus(*shown, attribution="attention", start=start).maps
    blocks = len(range(start % 3, 3))
    torch.testing.assert_close(added, blocks * grad_sam(*shown, start=start).maps)
