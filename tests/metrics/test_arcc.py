from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from audit.metrics.arcc import arcc, harmonic_mean
from audit.metrics.imputation import NoisyLinear
from audit.metrics.perturbation import perturbation_curves


def probability(score):
    return lambda pictures, pair: (20 * score(pictures, pair)).sigmoid()


def explain(images):
    return images.square().mean(1).unflatten(1, (6, 4)).unflatten(3, (6, 4)).mean((2, 4))


def unit(one):
    return (one - one.min()) / (one.max() - one.min())


def test_arcc_is_that_of_a_slow_loop(score, images, maps, seeded):
    worth = (images * score.weight).sum(1)
    worth = worth.unflatten(1, (6, 4)).unflatten(3, (6, 4)).sum((2, 4))
    maps = torch.cat([worth[:3], maps[3:]]) + maps / 10
    found = arcc(probability(score), explain, images, maps, generator=seeded())
    shares = [0.2, 0.4, 0.6, 0.8]
    morf, lerf = (
        perturbation_curves(
            probability(score),
            images,
            maps,
            order=order,
            fill=NoisyLinear(),
            fractions=shares,
            generator=seeded(),
        )
        for order in ("morf", "lerf")
    )
    for i in range(4):
        cam = unit(maps[i].double().numpy())
        large = functional.interpolate(
            torch.from_numpy(cam)[None, None], (24, 24), mode="bilinear", align_corners=False
        )[0]
        again = unit(explain((images[i].double() * large)[None])[0].numpy())
        parts = [
            (1 + stats.pearsonr(cam.ravel(), again.ravel()).statistic) / 2,
            1 - cam.mean(),
            np.clip(
                2 * np.mean([(b - a) / 2 for a, b in zip(morf[i], lerf[i], strict=True)]), 0, 1
            ),
        ]
        wanted = 0.0 if min(parts) <= 0 else stats.hmean(parts)
        assert float(found[i]) == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    assert (found[:3] > 0).all()


def test_any_part_at_zero_gives_zero_and_a_constant_map_has_no_answer(score, images, maps, seeded):
    parts = torch.tensor(
        [[0.5, 0.5, 0.0], [1.0, 1.0, 1.0], [0.5, 0.25, 1.0], [torch.nan, 0.0, 1.0]]
    )
    found = harmonic_mean(parts)
    torch.testing.assert_close(found[:3], torch.tensor([0.0, 1.0, 3 / 7]))
    assert found[3].isnan()
    flat = arcc(probability(score), explain, images, torch.ones_like(maps), generator=seeded())
    assert flat.isnan().all()
