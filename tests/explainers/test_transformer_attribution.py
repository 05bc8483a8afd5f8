"""Transformer attribution against relevance that is propagated operation by operation."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from audit.explainers.relevance_rules import through_linear, through_product, through_sum
from audit.explainers.transformer_attribution import transformer_attribution
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle
from tests.slow_blocks import Slow, slow_slopes, text_of


@pytest.fixture(scope="module")
def shown(wide_clip, build_pairs):
    return (wide_clip, *build_pairs(3, size=(24, 40), share=2))


def divided(r, z):
    return torch.where(z == 0, torch.zeros_like(r), r / (z + 1e-9))


def by_gradient(function, given, r):
    """Input times the gradient of Z, weighed by R/Z, which is held fixed."""
    leaves = [x.detach().requires_grad_() for x in given]
    with torch.enable_grad():
        z = function(*leaves)
        slopes = torch.autograd.grad((z * divided(r, z.detach())).sum(), leaves)
    return [x.detach() * g for x, g in zip(leaves, slopes, strict=True)]


def linear(x, weight, r):
    """Of each output the positive products of one input and one weight, one by one."""
    products = (x[:, None] * weight).clamp(min=0)  # rows, outputs, inputs
    return (products * divided(r, products.sum(-1))[..., None]).sum(1)


def added(a, b, r):
    parts = by_gradient(lambda p, q: p + q, (a, b), r)
    sizes = [abs(float(p.sum())) for p in parts]
    return [
        p * (float(r.sum()) * size / sum(sizes) / float(p.sum()))
        for p, size in zip(parts, sizes, strict=True)
    ]


def slow_map(model, image, token, start):
    """Chefer's relevance for one picture, head by head."""
    model = copy.deepcopy(model).requires_grad_(False)
    text, blocks = text_of(model, token), model.visual.transformer.resblocks
    with torch.enable_grad():
        run, slopes, _ = slow_slopes(model, image.clone().requires_grad_(), text)
    run = Slow(*([x.detach() for x in part] for part in (run.attention, run.states)), run.score)
    y = model.visual.ln_post(run.states[-1][0])
    share = (y * (model.visual.proj @ text)).clamp(min=0)
    relevance = torch.zeros_like(run.states[-1])
    relevance[0] = share / share.sum()
    row = torch.eye(len(relevance), dtype=image.dtype)[:1]
    for number in reversed(range(start, len(blocks))):
        block, x, a = blocks[number], run.states[number], run.attention[number]
        own, y = block.attn, block.ln_1(run.states[number])
        q, k, v = functional.linear(y, own.in_proj_weight, own.in_proj_bias).chunk(3, -1)
        heads = [slice(8 * h, 8 * h + 8) for h in range(4)]
        mixed = torch.cat([a[h] @ v[:, part] for h, part in enumerate(heads)], -1)
        attended = block.ls_1(own.out_proj(mixed))
        normed = block.ln_2(x + attended)
        hidden = block.mlp.c_fc(normed)
        by_mlp = block.ls_2(block.mlp(normed))
        kept, rest = added(x + attended, by_mlp, relevance)
        rest = linear(functional.gelu(hidden), block.mlp.c_proj.weight, rest)
        kept, rest_2 = added(x, attended, kept + linear(normed, block.mlp.c_fc.weight, rest))
        mixed_r = linear(mixed, own.out_proj.weight, rest_2)
        r_a, r_qkv = [], torch.zeros(len(x), 96, dtype=image.dtype)
        for h, part in enumerate(heads):
            r, r_v = by_gradient(torch.matmul, (a[h], v[:, part]), mixed_r[:, part])
            r_a.append(r / 2)
            r_q, r_k = by_gradient(lambda p, t: p @ t.T, (q[:, part], k[:, part]), r / 2)
            for third, value in enumerate((r_q, r_k, r_v)):
                r_qkv[:, 32 * third + 8 * h : 32 * third + 8 * h + 8] = value / 2
        relevance = kept + linear(y, own.in_proj_weight, r_qkv)
        row = row + row @ (torch.stack(r_a) * slopes[number]).clamp(min=0).mean(0)
    return row[0, 1:]


@pytest.mark.parametrize("start", [None, 0, -1])
def test_transformer_attribution(shown, start):
    model, images, tokens = shown
    found = transformer_attribution(*shown, start=start)
    first = {None: 1, 0: 0, -1: 2}[start]
    for i in range(3):
        wanted = slow_map(model, images[i], tokens[i], first).detach().reshape(3, 5)
        torch.testing.assert_close(found.maps[i], wanted, rtol=1e-6, atol=1e-12)
    own = anatomy_of(model).scores(images, tokens).detach()
    torch.testing.assert_close(found.scores, own)


def numbers(*shape):
    """Tensors with zeros and both signs."""
    count = torch.Size(shape).numel()
    values = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])
    return st.lists(values, min_size=count, max_size=count).map(
        lambda v: torch.tensor(v, dtype=torch.float64).reshape(shape)
    )


@given(numbers(2, 3), numbers(4, 3), numbers(2, 4))
def test_a_linear_layer_passes_on_all_relevance_of_outputs_that_have_positive_shares(x, w, r):
    found = through_linear(x, w, r)
    torch.testing.assert_close(found, linear(x, w, r), rtol=1e-7, atol=1e-12)
    reached = (x[:, None] * w).clamp(min=0).sum(-1) > 0
    torch.testing.assert_close(found.sum(1), (r * reached).sum(1), rtol=1e-6, atol=1e-7)


@given(numbers(1, 2, 3), numbers(1, 2, 3), numbers(1, 2, 3))
def test_a_sum_passes_on_all_relevance_where_shares_do_not_cancel(a, b, r):
    parts = through_sum(a, b, r)
    sums = [part.sum() for part in by_gradient(lambda p, q: p + q, (a, b), r)]
    if min(abs(float(s)) for s in sums) > 1e-3:
        torch.testing.assert_close(sum(p.sum() for p in parts), r.sum(), rtol=1e-5, atol=1e-6)
        assert all(float(p.sum()) * float(r.sum()) >= -1e-9 for p in parts)


@given(numbers(2, 3), numbers(3, 2), numbers(2, 2))
def test_a_product_gives_half_to_each_factor(a, b, r):
    parts = through_product(a, b, r)
    wanted = by_gradient(torch.matmul, (a, b), r)
    for part, whole in zip(parts, wanted, strict=True):
        torch.testing.assert_close(part, whole / 2, rtol=1e-7, atol=1e-9)
    reached = (r * (a @ b != 0)).sum()
    for part in parts:
        torch.testing.assert_close(part.sum(), reached / 2, rtol=1e-5, atol=1e-6)


def test_the_rule_of_a_linear_layer_is_that_of_zennit():
    rules = oracle("zennit.rules")
    layer = torch.nn.Linear(5, 4, bias=False).double()
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    r = torch.rand(3, 4, generator=torch.Generator().manual_seed(3)).double()
    handle = rules.AlphaBeta(alpha=1.0, beta=0.0).register(layer)
    (wanted,) = torch.autograd.grad(layer(x), x, grad_outputs=r)
    handle.remove()
    found = through_linear(x.detach(), layer.weight.detach(), r)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_blocks_without_rules_are_refused(shown):
    model, images, tokens = shown
    model = copy.deepcopy(model)  # other tests are shown the same one
    mlp = model.visual.transformer.resblocks[-1].mlp
    mlp.c_fc, mlp.c_proj = torch.nn.Linear(32, 128).double(), Halves(128, 32).double()
    with pytest.raises(ValueError, match="an MLP of linear layers in a chain"):
        transformer_attribution(model, images, tokens)


class Halves(torch.nn.Module):
    """Two linear layers side by side, whose results are added."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.one, self.other = torch.nn.Linear(inputs, outputs), torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.one(x) + self.other(x)
