from __future__ import annotations

import numpy as np
import torch

from audit.metrics.localization import dual_polarity_precision, energy_in_mask


def loop(values, mask):
    right = sum(
        abs(v) for v, inside in zip(values.ravel(), mask.ravel(), strict=True) if (v > 0) == inside
    )
    return right / np.abs(values).sum()


def test_it_is_that_of_a_slow_loop(tied_maps, masks):
    wanted = [loop(m, k) for m, k in zip(tied_maps.numpy(), masks.numpy(), strict=True)]
    np.testing.assert_allclose(dual_polarity_precision(tied_maps, masks), wanted, rtol=1e-5)


def test_without_negative_values_it_is_the_energy_in_the_mask(tied_maps, masks):
    positive = tied_maps.clamp(min=0) + 0.1
    torch.testing.assert_close(
        dual_polarity_precision(positive, masks), energy_in_mask(positive, masks)
    )


def test_ends_of_the_range(masks):
    signed = masks.float() * 2 - 1
    assert torch.equal(dual_polarity_precision(signed, masks), torch.ones(6))
    assert torch.equal(dual_polarity_precision(-signed, masks), torch.zeros(6))
    assert torch.equal(dual_polarity_precision(signed * 0, masks), torch.full((6,), 0.5))
    assert dual_polarity_precision(signed, torch.zeros_like(masks)).isnan().all()
