from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from audit.metrics.localization import prevalence
from audit.metrics.overlap import mask_iou, weighted_f_measure
from tests.oracles import oracle


def loop_iou(values, truth, rule):
    """Try every distinct value as threshold."""
    if values.min() == values.max():
        thresholds = [values.min()]
    elif rule == "mean":
        thresholds = [values.mean()]
    elif rule == "otsu":
        distinct = np.unique(values)[1:]
        cost = [
            (values >= t).sum() * values[values >= t].var()
            + (values < t).sum() * values[values < t].var()
            for t in distinct
        ]
        thresholds = [distinct[int(np.argmin(cost))]]
    else:
        thresholds = np.unique(values)
    return max(((values >= t) & truth).sum() / ((values >= t) | truth).sum() for t in thresholds)


def loop_weighted_f(values, truth):
    """Margolin's measure after the steps of PySODMetrics, one picture at a time."""
    values = (values - values.min()) / (values.max() - values.min())
    distance, nearest = ndimage.distance_transform_edt(~truth, return_indices=True)
    error = np.abs(values - truth)
    replaced = error[nearest[0], nearest[1]]
    y, x = np.mgrid[-3:4, -3:4]
    kernel = np.exp(-(x**2 + y**2) / 50)
    smooth = ndimage.convolve(replaced, kernel / kernel.sum(), mode="constant")
    least = np.where(truth & (smooth < error), smooth, error)
    weighted = least * np.where(truth, 1, 2 - np.exp(np.log(0.5) / 5 * distance))
    recall = 1 - weighted[truth].mean()
    hits = truth.sum() - weighted[truth].sum()
    precision = hits / (hits + weighted[~truth].sum())
    return 2 * recall * precision / (recall + precision)


@pytest.mark.parametrize("rule", ["mean", "otsu", "best"])
def test_iou_is_that_of_a_slow_loop(rule, tied_maps, masks):
    wanted = [loop_iou(m, k, rule) for m, k in zip(tied_maps.numpy(), masks.numpy(), strict=True)]
    np.testing.assert_allclose(mask_iou(tied_maps, masks, rule), wanted, rtol=1e-5)


def test_iou_at_the_mean_is_the_jaccard_index_of_torchmetrics(tied_maps, masks, dtype):
    classification = oracle("torchmetrics.functional.classification")
    wanted = [
        classification.binary_jaccard_index((m >= m.mean()).long(), k.long())
        for m, k in zip(tied_maps, masks, strict=True)
    ]
    torch.testing.assert_close(mask_iou(tied_maps, masks, "mean"), torch.stack(wanted).to(dtype))


@pytest.mark.parametrize("rule", ["mean", "otsu", "best"])
def test_iou_of_constant_and_perfect_maps(rule, masks, dtype):
    constant = torch.full(masks.shape, 0.1, dtype=dtype)
    torch.testing.assert_close(mask_iou(constant, masks, rule), prevalence(masks.to(dtype)))
    torch.testing.assert_close(
        mask_iou(masks.to(dtype) - 5, masks, rule), torch.ones(6, dtype=dtype)
    )


def test_weighted_f_is_that_of_a_slow_loop_where_the_nearest_is_unique():
    # A square of odd side in general position leaves ties only on no diagonal of its corners.
    maps = torch.rand(5, 20, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masks = torch.zeros(5, 20, 23, dtype=torch.bool)
    for i in range(5):
        masks[i, 3 + i : 9 + i, 2 * i : 7 + 2 * i] = True
    wanted = [loop_weighted_f(m, k) for m, k in zip(maps.numpy(), masks.numpy(), strict=True)]
    np.testing.assert_allclose(weighted_f_measure(maps, masks), wanted, rtol=1e-6)


def test_weighted_f_of_perfect_inverted_and_undefined(masks, dtype):
    perfect = masks.to(dtype)
    torch.testing.assert_close(weighted_f_measure(perfect, masks), torch.ones(6, dtype=dtype))
    assert (weighted_f_measure(1 - perfect, masks) < weighted_f_measure(perfect * 0, masks)).all()
    assert weighted_f_measure(perfect, torch.zeros_like(masks)).isnan().all()
    assert mask_iou(perfect, torch.ones_like(masks), "mean").isnan().all()
