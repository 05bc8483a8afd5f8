"""Attention calls: how many heads they have, and what the pooled token attends to in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from audit.trace.observations import Expected


@dataclass(frozen=True)
class Executed:
    """Attention as it was executed.

    Attributes:
        heads: that it had, 0 where the shape does not tell.
        rows: of the pooled token, (b, heads, t); None where shapes forbid.
        hidden: the share of all tokens' attention that goes where the model's mask hides others.
    """

    heads: int
    rows: Tensor | None = None
    hidden: float = 0.0


def _executed(a: Tensor, expected: Expected | None) -> Executed | None:
    """Attention probabilities in any layout.

    Returns None where the shape says that it is no attention over these tokens.
    """
    if expected is None:
        return Executed(a.shape[-3] if a.ndim >= 4 else 0) if a.shape[-1] > 1 else None
    rows, _, length = expected.rows.shape
    width = a.shape[-1]
    if width not in {length, length - 1}:
        return None
    square = a.ndim >= 3 and a.shape[-2] == width
    if a.ndim >= 4:
        rows = a.shape[:-3].numel()
    elif not square and a.ndim == 3 and a.shape[0] != rows and a.shape[0] % rows:
        rows = a.shape[0]
    per_row = a.numel() // rows
    heads = per_row // (width * width if square else width)
    if heads < 1 or heads * rows * (width * width if square else width) != a.numel():
        return Executed(0)
    if not square:
        return Executed(heads, a.reshape(rows, heads, width))
    pooled = (expected.pooled - (length - width)).clamp(min=0)
    pooled = pooled if len(pooled) == rows else pooled[:1].expand(rows)
    each = torch.arange(rows, device=a.device)
    whole = a.reshape(rows, heads, width, width)
    return Executed(heads, whole[each, :, pooled], _hidden(whole, expected))


def _hidden(a: Tensor, expected: Expected) -> float:
    """The share of attention (b, heads, t, t) that goes where the model's mask hides others."""
    if expected.hidden is None or expected.hidden.shape != a.shape[-2:]:
        return 0.0
    return float(a[..., expected.hidden].sum() / a.sum())


def softmax_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> Executed | None:
    """Probabilities themselves, whatever operation made them."""
    del args, kwargs, tensors
    return _executed(t, expected)


def _fused_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> Executed | None:
    del t, args
    if len(tensors) < 3:
        return None
    q, k = tensors[0], tensors[1]
    scale = kwargs.get("scale") or q.shape[-1] ** -0.5
    logits = q.float() @ k.float().transpose(-2, -1) * scale
    mask = kwargs.get("attn_mask")
    if isinstance(mask, Tensor):
        logits = (
            logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        )
    heads = q.shape[-3] if q.ndim >= 4 else 1
    return replace(_executed(logits.softmax(-1), expected) or Executed(0), heads=heads)


def _module_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> Executed | None:
    """``_native_multi_head_attention``: its arguments tell heads and projections."""
    del t, tensors, kwargs
    query, key, heads, weight, bias = args[0], args[1], int(args[4]), args[5], args[6]
    q = torch.nn.functional.linear(query, weight, bias).chunk(3, -1)[0]
    k = torch.nn.functional.linear(key, weight, bias).chunk(3, -1)[1]
    q, k = (z.unflatten(-1, (heads, -1)).transpose(1, 2) for z in (q, k))
    logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    mask = args[9] if len(args) > 9 else None
    if isinstance(mask, Tensor):
        mask = mask.float().masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else mask
        logits = logits + (mask.unflatten(0, (-1, heads)) if mask.ndim == 3 else mask)
    return replace(_executed(logits.softmax(-1), expected) or Executed(0), heads=heads)


ATTENTION_CALLS = {
    "_softmax": softmax_call,
    "_safe_softmax": softmax_call,
    "_scaled_dot_product_flash_attention_for_cpu": _fused_call,
    "_scaled_dot_product_flash_attention": _fused_call,
    "_scaled_dot_product_efficient_attention": _fused_call,
    "_scaled_dot_product_cudnn_attention": _fused_call,
    "_scaled_dot_product_fused_attention_overrideable": _fused_call,
    "_native_multi_head_attention": _module_call,
}
