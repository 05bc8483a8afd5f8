"""A pass of the image tower whose values are the model's and whose gradient is not.

Layer-wise relevance propagation in its efficient form: what would have to be a rule for each layer
is written as another gradient, times the input at the end. Only the backward pass is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from audit.explainers.attention_pass import Pairs
from audit.explainers.last_block import widen
from audit.explainers.turns import gradients_in_turns
from audit.models.anatomy import Block

Rules = Literal["constant", "shared"]
"""How attention passes relevance on: see `ruled_scores`."""


def ruled_scores(
    pairs: Pairs, pixels: Float[Tensor, "pictures 3 H W"], rules: Rules
) -> Float[Tensor, " pairs"]:
    """The model's scores, in a graph with other gradients.

    Norms divide by a constant, activations multiply by a constant gate f(x)/x, and attention is

    - ``constant``: weights that mix values and pass no gradient on to queries and keys;
    - ``shared``: a product whose relevance is shared evenly: a quarter of the gradient reaches
      queries and keys each, half the values.

    Args:
        pairs: what is run.
        pixels: its pictures, which the gradient is taken by.
        rules: for the attention.
    """
    tower = pairs.tower
    with torch.enable_grad(), _ConstantFactors():
        x = tower.embed(pixels)
        for block in tower.blocks:
            x = block.finish(x, block.project(_attended(block, x, rules)))
        return pairs.scores(x)


def _attended(block: Block, x: Float[Tensor, "b t d"], rules: Rules) -> Float[Tensor, "b t e"]:
    q, k, v = block.qkv(block.normalize(x))
    if rules == "shared":
        a = block.attention(_share(q, 0.25), _share(k, 0.25))
        return block.mix_values(a, _share(v, 0.5))
    return block.mix_values(block.attention(q, k).detach(), v)


def _share(x: Tensor, share: float) -> Tensor:
    """The same values, with a share of the gradient."""
    return x * share + (x * (1 - share)).detach()


class _ConstantFactors(TorchFunctionMode):
    """While it is on, norms divide and activations multiply by what the gradient takes as fixed."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute a function, or the same values with another gradient."""
        del types
        keywords = kwargs or {}
        other = _OTHER.get(func)
        return func(*args, **keywords) if other is None else other(func, *args, **keywords)


def _layer_norm(
    _: object,
    x: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    axes = tuple(range(-len(normalized_shape), 0))
    centered = x - x.mean(axes, keepdim=True)
    y = centered / (centered.square().mean(axes, keepdim=True) + eps).sqrt().detach()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _gated(func: Callable[..., Tensor], x: Tensor, *others: Any, **named: Any) -> Tensor:
    """An activation as its input times a constant gate; at 0 the gate is that of a small input."""
    tiny = torch.finfo(x.dtype).eps
    near = torch.where(x.detach().abs() < tiny, torch.full_like(x, tiny), x.detach())
    return x * (func(near, *others, **named) / near).detach()


def _sigmoid(func: Callable[..., Tensor], x: Tensor, *others: Any, **named: Any) -> Tensor:
    """A gate by itself, such as that of QuickGELU."""
    return func(x, *others, **named).detach()


def _unit_length(
    _: object, x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    del out
    length: Tensor = x.norm(p, dim, keepdim=True)
    return x / length.clamp_min(eps).detach()


_OTHER: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.layer_norm: _layer_norm,
    functional.gelu: _gated,
    functional.silu: _gated,
    functional.normalize: _unit_length,
    torch.sigmoid: _sigmoid,
    Tensor.sigmoid: _sigmoid,
}


def ruled_relevance(
    pairs: Pairs, rules: Rules
) -> tuple[Float[Tensor, "pairs 3 H W"], Float[Tensor, " pairs"]]:
    """Pixels times the changed gradient of each pair's score, and the model's scores."""
    with torch.enable_grad():
        pixels = pairs.images.clone().requires_grad_()
        scores = ruled_scores(pairs, pixels, rules)
    found = widen(pixels.detach())[pairs.picture]
    for mine, (slope,) in gradients_in_turns(scores, [pixels], pairs.picture):
        found[mine] *= widen(slope)
    return found, scores.detach()
