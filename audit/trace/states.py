"""The states of the unmodified model, tower by tower, that traced values are compared with.

Where the inside of a block is known, its parts are computed one by one; else every operation of
its own module is a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from audit.models.attention_pooling import AttentionPooling
from audit.models.stage import Stage
from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block
from audit.models.value_flow import tensors_among
from audit.trace.lineage import OUTPUTS
from audit.trace.recorded_states import tell_states, tell_states_from

State = tuple[str, str, Tensor]  # site, part, values
Told = Callable[[str, str, Tensor], None]
"""Told the site, the part (all tokens, the pooled one, the patches) and the values of a state."""


def tell_embedding(tower: AnyTower, inputs: Tensor, told: Told) -> Tensor:
    """States before the first block: of pictures (b, 3, H, W) or token ids (b, t)."""
    module = tower.module if isinstance(tower, Tower) else tower.model
    x = tell_states(module, lambda: tower.embed(inputs), lambda site, t: told(site, "all", t))
    told("input", "all", x)
    return x


def tell_block(
    block: Block | Stage,
    x: Tensor,
    mask: Tensor | None,
    pooled: Tensor,
    told: Told,
    *,
    fused: bool = False,
) -> Tensor:
    """States of a block that receives ``x``; gives its output."""
    if isinstance(block, Block):
        output = x
        for site, part, state in block_states(block, x, mask, pooled, fused=fused):
            told(site, part, state)
            if (site, part) == ("output", "all"):
                output = state
        return output
    told("input", "all", x)
    x = tell_states(block.module, lambda: block.run(x), lambda site, t: told(site, "all", t))
    told("output", "all", x)
    return x


def tell_passed_on(
    tower: ChainTower, x: Tensor, index: int, inputs: Tensor | None, told: Told
) -> Tensor:
    """States between what a step gives and what enters the next; gives that."""
    if tower.steps[index].goes_on:
        return x
    return tell_states_from(
        tower.model,
        lambda begins: tower.passed_on(x, index, inputs, begins),
        lambda site, t: told(site, "all", t),
    )


def tell_final(
    tower: AnyTower, x: Tensor, pooled: Tensor | None, inputs: Tensor | None, told: Told
) -> Tensor:
    """States after the last block: final norm, feature, normalized feature; gives the feature.

    Args:
        tower: of the unmodified model.
        x: what the last block gives; of a tower with pooled tokens, (b, d) where it is pooled.
        pooled: index of the pooled token, (b,); None where ``x`` is pooled already.
        inputs: what entered the tower, None where nobody knows.
        told: of each state.
    """
    if isinstance(tower, Tower):
        feature = x
        for site, part, state in final_states(tower, x, pooled):
            told(site, part, state)
            if site == "feature":
                feature = state
        return feature
    with outputs_kept(tower) as outputs:
        feature = tell_states_from(
            tower.model,
            lambda begins: tower.readout(x, inputs, begins),
            lambda site, t: told(site, "all", t),
        )
    for output in outputs[:1]:
        told(OUTPUTS, "pooled", output)
    told("feature", "pooled", feature)
    if tower.normalizes:
        told("unit feature", "pooled", functional.normalize(feature, dim=-1))
    return feature


@contextmanager
def outputs_kept(tower: ChainTower) -> Iterator[list[Tensor]]:
    """Keep what the model's own calls give, where the tower's feature is computed of that."""
    kept: list[Tensor] = []
    if not tower.outputs:
        yield kept
        return

    def gave(_module: nn.Module, _args: object, out: object) -> None:
        kept.extend(t.clone() for t in tensors_among(out) if t.is_floating_point())

    handle = tower.model.register_forward_hook(gave)
    try:
        yield kept
    finally:
        handle.remove()


def block_states(
    block: Block,
    x: Float[Tensor, "b t d"],
    mask: Tensor | None,
    pooled: Tensor,
    *,
    fused: bool = False,
) -> Iterator[State]:
    """Every state of a block that receives ``x``.

    Args:
        block: a block of the unmodified model.
        x: its input, (b, t, d).
        mask: additive attention mask, or None.
        pooled: index of the token that is pooled, (b,).
        fused: whether the values are mixed by torch's fused kernel, which rounds otherwise.

    Yields:
        Site, part (all tokens, the pooled one, the patches) and values.
    """
    y = block.normalize(x)
    q, k, v = block.qkv(y)
    logits = block.attention_logits(q, k, mask)
    attention = logits.softmax(-1)
    o = block.mix_values_fused(q, k, v, mask) if fused else block.mix_values(attention, v)
    projected = block.project(o)
    middle = x + block.scaled(projected, block.names.attention_scales)
    norm2 = block.part(block.names.mlp_norm)(middle)
    hidden = block.part(block.names.mlp)(norm2)
    output = middle + block.scaled(hidden, block.names.mlp_scales)
    yield from _token_variants("input", x, pooled)
    yield from _token_variants("normalized input", y, pooled)
    yield "qkv", "all", torch.cat([q, k, v], -1)
    for site, state in (("query", q), ("key", k), ("value", v), ("attention output", o)):
        yield from _token_variants(site, state, pooled)
    yield from _attention_variants("attention logits", logits, pooled)
    yield from _attention_variants("attention", attention, pooled)
    yield from _token_variants("projected attention output", projected, pooled)
    yield from _token_variants("after attention", middle, pooled)
    yield from _token_variants("normalized for the MLP", norm2, pooled)
    yield from _token_variants("MLP output", hidden, pooled)
    yield from _token_variants("output", output, pooled)


def pooling_states(pooling: AttentionPooling, tokens: Float[Tensor, "b t d"]) -> Iterator[State]:
    """Every state of a pooling by attention that receives tokens, and last what it gives."""
    block = pooling.block
    q, k, v = pooling.qkv(tokens)
    logits = block.attention_logits(q, k)
    attention = logits.softmax(-1)
    o = block.mix_values(attention, v)
    projected = block.project(o)
    first = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    yield "query", "pooled", q
    yield from _token_variants("key", k, first)
    yield from _token_variants("value", v, first)
    for site, state in (("attention logits", logits), ("attention", attention)):
        yield site, "all", state
        yield f"{site} of a head", "pooled", state.flatten(0, 1)
        yield f"mean {site}", "pooled", state.mean(1)
    yield "attention output", "pooled", o
    yield "projected attention output", "pooled", projected
    yield "output", "pooled", pooling.finish(projected)


def final_states(
    tower: Tower, x: Float[Tensor, "b *t d"], pooled: Tensor | None
) -> Iterator[State]:
    """States after the last block: final norm, feature, normalized feature.

    Args:
        tower: a tower of the unmodified model.
        x: what enters the final norm, (b, t, d), or (b, d) where it is pooled already.
        pooled: index of the pooled token, (b,); None where ``x`` is pooled already.
    """
    norm = tower.final_norm
    if x.ndim == 3 and pooled is not None:
        yield from _token_variants("final norm", norm(x), pooled)
        x = _pick(x, pooled)
    else:
        yield "final norm", "pooled", norm(x)
    feature = tower.readout(x)
    yield "feature", "pooled", feature
    yield "unit feature", "pooled", functional.normalize(feature, dim=-1)


def _pick(x: Tensor, pooled: Tensor) -> Tensor:
    return x[torch.arange(len(x), device=x.device), pooled]


def token_parts(x: Tensor, pooled: Tensor) -> Iterator[tuple[str, Tensor]]:
    """All tokens, the pooled one, and the patches."""
    yield "all", x
    yield "pooled", _pick(x, pooled)
    if x.shape[1] > 1:
        yield "patches", x[:, 1:]


def _token_variants(site: str, x: Tensor, pooled: Tensor) -> Iterator[State]:
    yield from ((site, part, state) for part, state in token_parts(x, pooled))


def attention_parts(a: Float[Tensor, "b h t t"], pooled: Tensor) -> tuple[tuple[str, Tensor], ...]:
    """All rows, the pooled token's, its patches alone, patches by patches, all by patches."""
    row = a[torch.arange(len(a), device=a.device), :, pooled]
    return (
        ("all", a),
        ("pooled", row),
        ("pooled", row[..., 1:]),
        ("patches", a[..., 1:, 1:]),
        ("all", a[..., 1:]),
    )


def _attention_variants(site: str, a: Float[Tensor, "b h t t"], pooled: Tensor) -> Iterator[State]:
    parts = attention_parts(a, pooled)
    for part, state in parts[:2]:
        heads = state.flatten(0, 1)
        if torch.isfinite(heads).all():
            yield f"{site} of a head", part, heads
    for part, state in parts:
        if torch.isfinite(state).all():
            yield site, part, state
            yield f"mean {site}", part, state.mean(1)
