"""Transformer attribution: relevance of attention times its gradient, through the blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from audit.explainers.attention_pass import AttentionPass, attention_pass, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.relevance_rules import shared, through_linear, through_product, through_sum
from audit.models.anatomy import Block
from audit.models.block_names import found
from audit.models.model_under_audit import ModelInterface


def transformer_attribution(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int | None = None,
) -> Explanation:
    """Transformer attribution: relevance of each attention times its gradient, through blocks.

    Relevance 1 of the score passes backward by the rules of `audit.explainers.relevance_rules`;
    norms and activations let it pass. At each block, with R the relevance of the attention, E is
    the mean over heads of ReLU(R dS/dA); the map is the pooled token's row of the product of all
    I + E. The gradient is the model's own.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        interface: how the model is called.
        start: number of the first block; a negative one counts from the end; default 1, as in all
            published experiments, where the released code has 0.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Raises:
        ValueError: no such block, blocks that turn queries and keys by their places, or whose MLP
            is no chain of linear layers, for which there are no rules.

    Source:
        Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization" (CVPR
        2021), section 3; where the released code differs from the paper, the code: rows are not
        normalized, and both factors of a product have half.
    """
    pairs = pairs_of(model, images, targets, interface)
    last = len(pairs.tower.blocks) - 1
    first = min(1, last) if start is None else pairs.block_number(start)
    seen = attention_pass(pairs, first)
    with torch.no_grad():
        blocks = zip(pairs.tower.blocks[first:], seen.inputs, strict=True)
        steps = [_steps(block, x.detach()) for block, x in blocks]
    maps = widen(images).new_empty(len(images), *pairs.tower.grid)
    for mine, slopes in seen.gradients(*seen.attention):
        with torch.no_grad():
            relevance = relevance_of_last_tokens(seen, mine)
            of, cams = pairs.picture[mine], []
            for step, slope in zip(reversed(steps), reversed(slopes), strict=True):
                attention, relevance = step.passed(relevance, of)
                cams.append((attention * slope).relu().mean(1))
            row = pairs.pooled_row(torch.eye(relevance.shape[1]).to(maps)).expand(len(of), -1)
            for cam in cams:
                row = row + (row[:, None] @ cam)[:, 0]
            maps[mine] = pairs.on_grid(row)
    return Explanation(maps, seen.scores.detach())


@dataclass(frozen=True)
class _Steps:
    """What a block's operations were given, of each distinct picture, at least single precision.

    Attributes:
        block: the block.
        x: what enters it.
        y: what its first norm gives.
        q: queries, keys and values, heads in an axis of their own.
        k: see q.
        v: see q.
        a: attention.
        mixed: what enters the output projection.
        attended: what the attention adds to x.
        linear: the MLP's linear layers in order, with what enters each.
        added: what the MLP adds.
    """

    block: Block
    x: Tensor
    y: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    a: Tensor
    mixed: Tensor
    attended: Tensor
    linear: tuple[tuple[Tensor, Tensor], ...]
    added: Tensor

    def passed(
        self, relevance: Float[Tensor, "some tokens width"], of: Int[Tensor, " some"]
    ) -> tuple[Float[Tensor, "some heads tokens tokens"], Float[Tensor, "some tokens width"]]:
        """Relevance of the attention and of what enters the block, from that of what leaves it."""
        block, x = self.block, self.x[of]
        between, by_mlp = through_sum(x + self.attended[of], self.added[of], relevance)
        for weight, entered in reversed(self.linear):
            by_mlp = through_linear(entered[of], weight, by_mlp)
        skipped, by_attention = through_sum(x, self.attended[of], between + by_mlp)
        projection = widen(block.part(block.names.projection).weight)
        mixed = block.split_heads(through_linear(self.mixed[of], projection, by_attention))
        attention, values = through_product(self.a[of], self.v[of], mixed)
        queries, keys = through_product(self.q[of], self.k[of].mT, attention)
        each = [block.merge_heads(r) for r in (queries, keys.mT, values)]
        weights = torch.cat([widen(found(block.module, n)) for n in block.qkv_names.weights])
        entering = through_linear(self.y[of], weights, torch.cat(each, -1))
        return attention, skipped + entering


def _steps(block: Block, x: Float[Tensor, "pictures tokens width"]) -> _Steps:
    """Run a block as the model does, keeping what each operation was given.

    Raises:
        ValueError: it has operations for which there are no rules.
    """
    if block.rotary is not None:
        raise ValueError(
            f"expected queries and keys as they are projected, found rotary positions in "
            f"'{block.path}'; choose game, which needs no rules for them"
        )
    y = block.normalize(x)
    q, k, v = block.qkv(y)
    a = block.attention(q, k)
    mixed = block.mix_values(a, v)
    attended = block.scaled(block.project(mixed), block.names.attention_scales)
    between = x + attended
    linear: list[tuple[Tensor, Tensor]] = []

    def keep(module: nn.Module, given: tuple[Any, ...]) -> None:
        linear.append((widen(module.weight), widen(given[0])))  # type: ignore[arg-type]

    mlp = block.part(block.names.mlp)
    handles = [m.register_forward_pre_hook(keep) for m in mlp.modules() if isinstance(m, nn.Linear)]
    try:
        added = mlp(block.part(block.names.mlp_norm)(between))
    finally:
        for handle in handles:
            handle.remove()
    sides = [x.shape[-1], *(side for weight, _ in linear for side in reversed(weight.shape))]
    if not linear or sides[::2] != [*sides[1::2], x.shape[-1]]:
        raise ValueError(
            f"expected an MLP of linear layers in a chain in '{block.path}', found sides of "
            f"{sides[1:]}; choose game, which needs no rules for them"
        )
    q, k, v = (widen(block.split_heads(z)) for z in (q, k, v))
    return _Steps(
        block, widen(x), widen(y), q, k, v, widen(a), widen(mixed), widen(attended), tuple(linear),
        widen(block.scaled(added, block.names.mlp_scales)),
    )  # fmt: skip


def relevance_of_last_tokens(
    seen: AttentionPass, mine: Tensor
) -> Float[Tensor, "some tokens width"]:
    """Relevance 1 of each score, on what the last block gives: all of it on the class token.

    What the score makes of the last norm's output is one linear layer, its length held constant.
    """
    pairs = seen.pairs
    tokens = widen(seen.outputs[-1].detach())[pairs.picture[mine]]
    pooled = seen.outputs[-1].detach()[pairs.picture[mine], 0].requires_grad_()
    with torch.enable_grad(), _FromLastNorm(pooled) as head:
        score = (pairs.features(pooled) * pairs.wanted[mine]).sum()
    (slope,) = torch.autograd.grad(score, head.given)
    share = widen(head.given.detach() * slope).clamp_min(0).flatten(1)
    relevance = torch.zeros_like(tokens)
    relevance[:, 0] = shared(share, share.sum(-1, keepdim=True).expand_as(share))
    return relevance


class _FromLastNorm(TorchFunctionMode):
    """While it is on, the graph begins at what a norm gives, and lengths are constants.

    Attributes:
        given: what the last norm gave; what was there before where there is none.
    """

    def __init__(self, given: Tensor) -> None:
        super().__init__()
        self.given = given

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute a function; a norm's output is a leaf of the graph."""
        del types
        out = func(*args, **(kwargs or {}))
        if func is functional.layer_norm:
            self.given = out.detach().requires_grad_()
            return self.given
        if func is functional.normalize:
            long, unit = (z.detach().norm(dim=-1, keepdim=True) for z in (args[0], out))
            return args[0] * (unit / long)
        return out
