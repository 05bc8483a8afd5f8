"""The states of the unmodified model, tower by tower, that traced values are compared with."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from audit.models.anatomy import Block, Tower

State = tuple[str, str, Tensor]  # site, part, values


def embedding_states(tower: Tower, inputs: Tensor) -> Iterator[State]:
    """States before the first block: of pictures (b, 3, H, W) or token ids (b, t)."""
    if tower.name == "image":
        yield "patch embedding", "all", tower.module.conv1(inputs)  # type: ignore[operator]
    yield "input", "all", tower.embed(inputs)


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
    o = _mixed_by_kernel(block, q, k, v, mask) if fused else block.mix_values(attention, v)
    projected = block.project(o)
    middle = x + block.module.ls_1(projected)  # type: ignore[operator]
    norm2 = block.module.ln_2(middle)  # type: ignore[operator]
    hidden = block.module.mlp(norm2)  # type: ignore[operator]
    output = middle + block.module.ls_2(hidden)  # type: ignore[operator]
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


def _mixed_by_kernel(block: Block, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = (block.split_heads(one) for one in (q, k, v))
    mask = None if mask is None else mask.to(q.dtype)
    return block.merge_heads(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))


def final_states(
    tower: Tower, x: Float[Tensor, "b *t d"], pooled: Tensor | None
) -> Iterator[State]:
    """States after the last block: final norm, feature, normalized feature.

    Args:
        tower: a tower of the unmodified model.
        x: what enters the final norm, (b, t, d), or (b, d) where it is pooled already.
        pooled: index of the pooled token, (b,); None where ``x`` is pooled already.
    """
    norm = tower.module.ln_post if tower.name == "image" else tower.module.ln_final
    if x.ndim == 3 and pooled is not None:
        yield from _token_variants("final norm", norm(x), pooled)  # type: ignore[operator]
        x = _pick(x, pooled)
    else:
        yield "final norm", "pooled", norm(x)  # type: ignore[operator]
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
