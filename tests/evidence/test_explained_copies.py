import random

import numpy as np
import torch

from audit.evidence.cost import affordable_pairs, cost, gather_costs, is_expensive
from audit.evidence.explained_copies import (
    common_random_numbers,
    full_dtype,
    likeness,
    maps_of,
    numerical_noise,
    own_copy,
    rounded_copy,
    unedited_maps,
)

PAIRS = torch.arange(4)


def test_a_copy_shares_nothing_and_has_gradients(tiny_model):
    copy = own_copy(tiny_model.module)
    for one, other in zip(copy.parameters(), tiny_model.module.parameters(), strict=True):
        assert one.data_ptr() != other.data_ptr()
        assert one.requires_grad
    assert not copy.training


def test_half_precision_is_computed_in_single():
    assert full_dtype(torch.bfloat16) is full_dtype(torch.float16) is torch.float32
    assert full_dtype(torch.float64) is torch.float64


def test_a_rounded_copy_differs_by_a_few_roundings(tiny_model):
    copy = rounded_copy(tiny_model.module, 0)
    pairs = zip(copy.parameters(), tiny_model.module.parameters(), strict=True)
    gaps = [((a - b).abs() / b.abs().clamp(min=1e-30)).max() for a, b in pairs if a.numel() > 1]
    eps = torch.finfo(torch.float32).eps
    assert eps < max(gaps) < 32 * eps


def test_rounding_explains_little_of_an_honest_map(context_for):
    context = context_for("gradient")
    maps = unedited_maps(context, context.audited, PAIRS, torch.float32)
    noise = numerical_noise(context, context.audited, PAIRS, maps, torch.float32)
    assert (noise > 0).all()
    assert (noise < 1e-4).all()


def test_an_explainer_that_runs_the_model_often_costs_more(context_for):
    def hundred(model, images, tokens):
        for _ in range(100):
            model.encode_image(images)
        return torch.zeros(len(images), 4, 4)

    context = context_for(hundred)
    assert 50 < cost(context, context.audited) < 100
    assert cost(context, context.explainers["edges"]) == 1.0
    assert 1 <= cost(context, context.explainers["attention-logit-gradient"]) < 6
    costs = gather_costs(context).operations
    assert costs.keys() == {"planted", "attention-logit-gradient"}
    assert costs["planted"] == cost(context, context.audited)
    assert len(affordable_pairs(context, costs["planted"], 12)) == 4
    assert is_expensive(costs["planted"])
    assert not is_expensive(costs["attention-logit-gradient"])
    assert len(affordable_pairs(context, 1.0, 12)) == 12


def test_global_random_numbers_are_common_and_put_back():
    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002, S311

    with common_random_numbers(3):
        first = draw()
    torch.manual_seed(1)
    outside = torch.random.get_rng_state()
    with common_random_numbers(3):
        assert draw() == first
    assert torch.equal(torch.random.get_rng_state(), outside)


def test_maps_draw_the_same_random_numbers_every_time(context_for):
    context = context_for(lambda model, images, tokens: torch.rand(len(images), 4, 4))
    one, other = (
        maps_of(context, context.audited, own_copy(context.pristine), PAIRS) for _ in range(2)
    )
    assert torch.equal(one, other)


def test_an_explainer_cannot_reach_the_audits_own_copy(context_for, same_state):
    def vandal(model, images, tokens):
        for parameter in model.parameters():
            parameter.data.zero_()
        return torch.zeros(len(images), 4, 4)

    context = context_for(vandal)
    before = own_copy(context.pristine)
    maps_of(context, context.audited, own_copy(context.pristine), PAIRS)
    assert same_state(context.pristine, before)
    assert same_state(context.model.module, before)


def test_likeness_of_constant_maps():
    flat, other, slope = torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.arange(4.0).view(1, 2, 2)
    assert likeness(flat, flat) == 1
    assert likeness(flat, other) == 0
    assert likeness(flat, slope) == 0
    assert torch.allclose(likeness(slope, -slope), torch.ones(1))
