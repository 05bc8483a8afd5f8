"""Gradients that an explainer takes are the untouched model's, or are told apart: P110."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from audit.explainers.contract import Explainer
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import chain_tower
from audit.trace.tracing import TracedPair, trace_pair
from tests.reference_explainers import honest_gradients, parts
from tests.reference_explainers.honest import HONEST

GRADIENTS = [m for m in HONEST if hasattr(honest_gradients, m.explain.__name__)]


class Clamped(torch.autograd.Function):
    """The identity, whose gradient keeps what is positive."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(min=0)


def clamped_after_the_features(model, images, tokens):
    text = parts.text_unit(model, tokens)
    return parts.gradient_map(
        model, images, lambda x: F.normalize(Clamped.apply(model.encode_image(x)), dim=-1) * text
    )


def clamped_within_a_block(model, images, tokens):
    def clamp(module, args, output):
        return Clamped.apply(output)

    hook = model.visual.transformer.resblocks[1].mlp.register_forward_hook(clamp)
    try:
        return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))
    finally:
        hook.remove()


def guided(model, images, tokens):
    """Guided backpropagation through the activations of all blocks."""

    def positive(module, arriving, leaving):
        return tuple(g.clamp(min=0) for g in arriving)

    hooks = [
        module.register_full_backward_hook(positive)
        for module in model.visual.modules()
        if isinstance(module, nn.GELU)
    ]
    try:
        return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))
    finally:
        for hook in hooks:
            hook.remove()


def attention_held_constant(model, images, tokens):
    """The gradient passes by the queries and keys of the last block, as relevance rules have it."""
    text = parts.text_unit(model, tokens)
    block = model.visual.transformer.resblocks[-1]
    x = images.clone().requires_grad_()
    y = parts.before(model, x, len(model.visual.transformer.resblocks) - 1)
    q, k, v = parts.qkv(block, block.ln_1(y))
    o = parts.merge(parts.attention(q, k).detach() @ v)
    score = (parts.readout(model, parts.after_attention(block, y, o)) * text).sum()
    (g,) = torch.autograd.grad(score, x)
    return parts.pooled_grid(model, g.abs().sum(1))


MODIFIED = [clamped_after_the_features, clamped_within_a_block, guided, attention_held_constant]


@pytest.mark.parametrize("explain", MODIFIED, ids=lambda f: f.__name__)
def test_a_modified_backward_is_no_gradient_of_the_model(traced, explain):
    found = [g for g in traced(explain).gradients if g.by == "the pixels"]
    assert found
    assert not any(g.own for g in found)
    assert all(g.error > 0.01 for g in found)
    assert all("test_gradients.py:" in g.place or "parts.py:" in g.place for g in found)


def test_what_made_it_otherwise_is_named(traced):
    (custom,) = traced(clamped_after_the_features).gradients
    assert "custom function Clamped" in custom.rule
    assert "test_gradients.py:" in custom.rule
    (hooked,) = (g for g in traced(guided).gradients if g.by == "the pixels")
    assert "hook on visual.transformer.resblocks.0.mlp.gelu" in hooked.rule


@pytest.mark.parametrize("member", GRADIENTS, ids=lambda m: m.name.replace(" ", "-"))
def test_no_honest_gradient_is_accused(traced, member):
    assert all(g.own for g in traced(member.explain).gradients)


def test_gradients_of_pixels_and_attention_are_compared(traced):
    by = {g.by for g in traced(honest_gradients.backward_of_cosine).gradients}
    assert by == {"the pixels"}

    def by_attention(model, images, tokens):
        return parts.grad_times_attention(model, images, tokens)

    assert [g.by for g in traced(by_attention).gradients] == ["image block 2 attention"]


def test_another_score_of_the_models_outputs_has_its_own_gradient(traced):
    def probability(model, images, tokens):
        others = parts.text_unit(model, parts.class_prompts(tokens))
        both = torch.cat([parts.text_unit(model, tokens), others])
        return parts.gradient_map(
            model,
            images,
            lambda x: (30 * F.normalize(model.encode_image(x), dim=-1) @ both.T).softmax(-1)[:, 0],
        )

    (found,) = traced(probability).gradients
    assert found.own


class _Scaleless(nn.Module):
    """A model to which pictures of any contrast are the same."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 8, 4, 4, bias=False), nn.GroupNorm(1, 8, eps=0.0)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.norm(self.embed(x)).relu().mean((2, 3)))


def _integrated(model, images, targets):
    total = torch.zeros_like(images)
    for step in range(1, 9):
        x = (images * (step / 8)).requires_grad_(True)
        score = model(x).gather(1, targets[:, None]).sum()
        total = total + torch.autograd.grad(score, x)[0]
    return (total * images).sum(1)


def test_pictures_with_one_feature_have_gradients_of_their_own():
    torch.manual_seed(0)
    model, image, target = _Scaleless().eval(), torch.randn(1, 3, 16, 16), torch.tensor([2])
    pristine = pristine_copy(model)
    tower = chain_tower("image", pristine, lambda model, x: model(x), image)
    with torch.no_grad():
        pair = TracedPair("pair-0", image, target, {"logit": float(pristine(image)[0, 2])})
    structure = Structure(pristine, tower, None)
    trace, _ = trace_pair(Explainer("paths", _integrated), copy.deepcopy(model), structure, pair)
    assert len(trace.gradients) > 1
    assert all(g.own for g in trace.gradients)
