from __future__ import annotations

import pytest
import torch

from audit.metrics.adaptive import adaptive_curves
from audit.metrics.faithfulness import removal_curves
from audit.metrics.fills import Fill
from audit.metrics.imputation import NoisyLinear
from audit.metrics.perturbation import perturbation_curves
from audit.metrics.protocols import (
    grad_eclip,
    rise,
    road,
    run_protocol,
)
from audit.metrics.rationale import rationale, rationale_fractions


def alone_for(bins, score, images, maps, **more):
    """Sufficiency and comprehensiveness of curves that are scored for them alone."""
    fractions = rationale_fractions(bins, 36)
    return rationale(removal_curves(score, images, maps, fractions=fractions, **more), 36, bins)


def test_rise_scores_every_count_once(score, images, maps, seeded):
    found = run_protocol(rise(), score, images, maps, generator=seeded())
    assert found.deletion_curve.shape == (4, 225)
    assert score.pictures == 4 * 37 * 2
    full = score(images, torch.zeros(4))
    torch.testing.assert_close(found.deletion_curve[:, 0], full)
    torch.testing.assert_close(found.insertion_curve[:, -1], full)
    zero = torch.zeros_like(full)
    torch.testing.assert_close(found.deletion_curve[:, -1], zero, atol=1e-7, rtol=0)
    curve = found.deletion_curve
    theirs = (curve.sum(1) - curve[:, 0] / 2 - curve[:, -1] / 2) / 224
    torch.testing.assert_close(found.deletion, theirs)


def test_rise_on_a_map_in_pixels_removes_single_pixels(score, images, maps, seeded):
    pixels = torch.nn.functional.interpolate(maps[:, None], (24, 24), mode="bilinear")[:, 0]
    run_protocol(rise(24), score, images, pixels, generator=seeded())
    assert score.pictures == 4 * 25 * 2


def test_grad_eclip_reads_eleven_points_of_each(score, images, maps, seeded):
    protocol = grad_eclip()
    assert protocol.deletion == pytest.approx([k * 0.05 for k in range(11)])
    assert protocol.insertion == pytest.approx([*(k * 0.05 for k in range(1, 11)), 1.0])
    right = run_protocol(
        protocol,
        lambda x, i: (score(x, i) > 0).to(x.dtype),
        images,
        maps,
        generator=seeded(),
    )
    assert set(right.deletion_curve.unique().tolist()) <= {0.0, 1.0}
    assert right.insertion_curve.shape == (4, 11)


def test_road_uses_the_imputation_for_both_orders(score, images, maps, seeded):
    found = road(score, images, maps, fractions=[0.3, 0.6], generator=seeded())
    single = perturbation_curves(
        score,
        images,
        maps,
        order="lerf",
        fill=NoisyLinear(),
        fractions=[0.0, 0.3, 0.6, 1.0],
        generator=seeded(),
    )
    torch.testing.assert_close(found.lerf, single, rtol=1e-4, atol=1e-5)


def test_sufficiency_and_comprehensiveness_are_those_of_a_slow_loop(score, images, maps, seeded):
    bins = (0.01, 0.05, 0.1, 0.2, 0.5)
    found = alone_for(bins, score, images, maps, fill=Fill("dataset-mean"), generator=seeded())
    zeros = torch.zeros(1)
    for i in range(4):
        order = maps[i].flatten().argsort(descending=True)
        without, alone = [], []
        for share in bins:
            keep = torch.zeros(36, dtype=maps.dtype)
            keep[order[: max(1, round(share * 36))]] = 1
            pixels = keep.view(6, 6).repeat_interleave(4, 0).repeat_interleave(4, 1)
            without.append(score(images[i : i + 1] * (1 - pixels), zeros))
            alone.append(score(images[i : i + 1] * pixels, zeros))
        full = score(images[i : i + 1], zeros)
        lost = full - torch.cat(without).mean()
        missing = full - torch.cat(alone).mean()
        torch.testing.assert_close(found.comprehensiveness[i], lost[0], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found.sufficiency[i], missing[0], rtol=1e-3, atol=1e-6)


def test_one_set_of_passes_serves_every_measure_of_its_fill(score, images, maps, seeded):
    bins, fractions = (0.01, 0.1, 0.5), [0.1, 0.3, 0.6]
    common = {"fill": "blur", "generator": seeded()}
    union = [*fractions, *rationale_fractions(bins, 36)]
    curves = removal_curves(score, images, maps, fractions=union, **common)
    passes = score.pictures
    shared = rationale(curves, 36, bins)
    assert score.pictures == passes == 4 * (2 * 7 + 2)  # 1, 4, 11, 18, 22, 32 and 35 of 36 patches
    alone = alone_for(bins, score, images, maps, fill="blur", generator=seeded())
    torch.testing.assert_close(shared.sufficiency, alone.sufficiency)
    torch.testing.assert_close(shared.comprehensiveness, alone.comprehensiveness)
    every = adaptive_curves(score, images, maps, fill="blur", generator=seeded(), tolerance=-1.0)
    read = rationale(every.curves, 36, bins)
    torch.testing.assert_close(read.sufficiency, alone.sufficiency)


def test_curves_that_lack_a_bin_are_refused_with_the_way_out(score, images, maps, seeded):
    curves = removal_curves(score, images, maps, fractions=[0.5], generator=seeded())
    with pytest.raises(ValueError, match=r"\[4, 32\] of 36.*rationale_fractions"):
        rationale(curves, 36, (0.1, 0.5))
