"""Activation maximization: the closed form of a linear score, and a picture that scores higher."""

import pytest
import torch

from audit.config.settings import Settings
from audit.data.errors import DataError
from audit.engine.class_visualization import ascended, visualized
from audit.engine.context_building import load_audited_model


@pytest.mark.parametrize("decay", [0.5, 2.0])
def test_of_a_linear_score_the_maximum_is_its_weights_over_twice_the_decay(decay):
    weights = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    start = torch.zeros_like(weights)
    found = ascended(lambda x: (weights * x).sum(), start, steps=400, decay=decay)
    torch.testing.assert_close(found, weights / (2 * decay), rtol=0, atol=1e-3)
    assert not start.any()


def test_a_picture_scores_higher_than_the_mean_color_and_less_under_a_larger_decay(tiny_model):
    model = load_audited_model(Settings(model=tiny_model))
    before = {name: p.clone() for name, p in model.module.named_parameters()}
    (target,) = model.encode(["a red disk"])
    free = visualized(model, target, steps=60, decay=1e-4)
    held = visualized(model, target, steps=60, decay=1.0)
    assert free.score > free.start + 0.1
    assert float(held.image.norm()) < float(free.image.norm()) / 2
    assert free.start == held.start
    with torch.no_grad():
        again = float(model.score(free.image[None], target[None]))
    assert again == pytest.approx(free.score, abs=1e-6)
    assert all(torch.equal(before[n], p) for n, p in model.module.named_parameters())


def test_no_step_and_no_decay_are_refused(tiny_model):
    model = load_audited_model(Settings(model=tiny_model))
    (target,) = model.encode(["a red disk"])
    with pytest.raises(DataError, match="expected steps >= 1 and decay > 0, got 0 and 1"):
        visualized(model, target, steps=0, decay=1.0)
