"""Function-preserving edits of layers, whatever model holds them: channels and batch norms.

They need no view of the inside: which layers feed one another is found by tracing, and each edit
proves itself before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.interventions.draws import generator_for
from audit.interventions.function_preserving.layer_chains import (
    Chain,
    Layers,
    Normalized,
    is_depthwise,
    layers_of,
)
from audit.interventions.function_preserving.matrices import gaussian, permutation
from audit.interventions.function_preserving.parts import Replacements, float64

SPREAD = 0.5
Pair = Chain | Normalized


@dataclass(frozen=True)
class LayerEdit:
    """A function-preserving edit of layers.

    Attributes:
        name: one of `LAYER_EDITS`.
        pairs: the layers that are edited.
        seed: which draw of its random numbers.
        block: place of a single pair among all, None for an edit of all of them.
    """

    name: str
    pairs: tuple[Pair, ...]
    seed: int = 0
    block: int | None = None

    @property
    def place(self) -> str:
        """Where the edit applies, in words."""
        return "all layers" if self.block is None else self.pairs[0].place

    def alone(self) -> Iterator[LayerEdit]:
        """The edit of each pair by itself, from the last on."""
        for index in reversed(range(len(self.pairs))):
            yield LayerEdit(self.name, (self.pairs[index],), self.seed, index)


def layer_edits(model: nn.Module, seed: int = 0) -> tuple[LayerEdit, ...]:
    """Each edit on all layers that it applies to; none where no such layers are found."""
    found = layers_of(model)
    edits = (LayerEdit(name, _suited(name, found, model), seed) for name in LAYER_EDITS)
    return tuple(edit for edit in edits if edit.pairs)


def layer_replacements(model: nn.Module, edit: LayerEdit) -> dict[str, Tensor]:
    """New values, by dotted name, of the parameters and buffers that an edit changes.

    Pairs that share a layer are edited one after the other.
    """
    changed: dict[str, Tensor] = {}
    values = _Values(model, changed)
    for pair in edit.pairs:
        generator = generator_for("layer edit", edit.name, pair.place, edit.seed)
        changed.update(LAYER_EDITS[edit.name](values, pair, generator))
    old = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {n: v for n, v in changed.items() if not torch.equal(v, float64(old[n]))}


class _Values:
    """The tensors of a model in float64, as edits before have left them."""

    def __init__(self, model: nn.Module, changed: Mapping[str, Tensor]) -> None:
        self.model = model
        self._changed = changed

    def of(self, layer: str) -> dict[str, Float[Tensor, "*shape"]]:
        """The tensors of a layer by their name in it, counters left out."""
        module = self.model.get_submodule(layer)
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        return {
            name: self._changed.get(f"{layer}.{name}", float64(tensor))
            for name, tensor in own
            if tensor.is_floating_point()
        }


def _permute(values: _Values, chain: Pair, generator: torch.Generator) -> Replacements:
    """Put the channels of a chain in another order."""
    assert isinstance(chain, Chain)  # noqa: S101 - by LAYER_EDITS
    order = permutation(len(values.of(chain.first)["weight"]), generator)
    outputs = {
        f"{layer}.{name}": tensor[order]
        for layer in (chain.first, *chain.between)
        for name, tensor in values.of(layer).items()
    }
    weight = values.of(chain.last)["weight"]
    inputs = weight.unflatten(1, (len(order), -1))[:, order].flatten(1, 2)
    return {**outputs, f"{chain.last}.weight": inputs}


def _scale(values: _Values, chain: Pair, generator: torch.Generator) -> Replacements:
    """Scale the channels of a chain, and undo it in the layer that receives them.

    What is scaled is the layer that sets their size: the last batch norm, or the first layer; the
    depthwise convolutions behind it keep their weights and have their biases scaled.
    """
    assert isinstance(chain, Chain)  # noqa: S101 - by LAYER_EDITS
    layers = (chain.first, *chain.between)
    norms = [i for i, name in enumerate(layers) if "running_var" in values.of(name)]
    start = norms[-1] if norms else 0
    channels = len(values.of(chain.first)["weight"])
    factor = (SPREAD * gaussian(channels, generator=generator)).exp()
    changed: dict[str, Tensor] = {}
    for layer in layers[start:]:
        scaled = {n: t for n, t in values.of(layer).items() if not n.startswith("running_")}
        if layer != layers[start]:
            scaled.pop("weight")
        changed |= {f"{layer}.{name}": _rows(factor, t) for name, t in scaled.items()}
    weight = values.of(chain.last)["weight"].unflatten(1, (channels, -1))
    undone = weight / factor.reshape(1, -1, *[1] * (weight.ndim - 2))
    return {**changed, f"{chain.last}.weight": undone.flatten(1, 2)}


def _scale_statistics(values: _Values, pair: Pair, generator: torch.Generator) -> Replacements:
    """Scale what enters a batch norm, and its statistics with it.

    The variance v becomes s^2 (v + eps) - eps, which is positive for the scales s above 1 drawn.
    """
    assert isinstance(pair, Normalized)  # noqa: S101 - by LAYER_EDITS
    norm = values.of(pair.norm)
    eps = float(values.model.get_submodule(pair.norm).eps)  # type: ignore[arg-type]
    factor = (SPREAD * gaussian(len(norm["running_var"]), generator=generator)).abs().exp()
    return {
        **{f"{pair.layer}.{n}": _rows(factor, t) for n, t in values.of(pair.layer).items()},
        f"{pair.norm}.running_mean": factor * norm["running_mean"],
        f"{pair.norm}.running_var": factor**2 * (norm["running_var"] + eps) - eps,
    }


def _fold(values: _Values, pair: Pair, generator: torch.Generator) -> Replacements:
    """Move gain and statistics of a batch norm into the layer before it.

    The norm is left with a gain and variance of 1 and a mean of 0; its shift takes up the mean.
    """
    del generator
    assert isinstance(pair, Normalized)  # noqa: S101 - by LAYER_EDITS
    norm = values.of(pair.norm)
    eps = float(values.model.get_submodule(pair.norm).eps)  # type: ignore[arg-type]
    factor = norm["weight"] / (norm["running_var"] + eps).sqrt()
    return {
        **{f"{pair.layer}.{n}": _rows(factor, t) for n, t in values.of(pair.layer).items()},
        f"{pair.norm}.weight": torch.ones_like(factor),
        f"{pair.norm}.bias": norm["bias"] - factor * norm["running_mean"],
        f"{pair.norm}.running_mean": torch.zeros_like(factor),
        f"{pair.norm}.running_var": torch.ones_like(factor) - eps,
    }


LAYER_EDITS: Mapping[str, Callable[[_Values, Pair, torch.Generator], Replacements]] = {
    "channel-permutation": _permute,
    "relu-scaling": _scale,
    "batch-norm-scaling": _scale_statistics,
    "batch-norm-folding": _fold,
}


def _rows(factor: Float[Tensor, " c"], tensor: Float[Tensor, "c ..."]) -> Float[Tensor, "c ..."]:
    return factor.reshape(-1, *[1] * (tensor.ndim - 1)) * tensor


def _suited(name: str, found: Layers, model: nn.Module) -> tuple[Pair, ...]:
    """The layers that an edit can be made of."""
    if name == "batch-norm-scaling":
        return found.normalized
    if name == "batch-norm-folding":
        return tuple(p for p in found.normalized if _has_gain(model, p.norm))
    chains = tuple(c for c in found.chains if _fits(model, c))
    if name == "relu-scaling":
        return tuple(c for c in chains if c.homogeneous and _can_scale(model, c))
    return chains


def _fits(model: nn.Module, chain: Chain) -> bool:
    """Whether the last layer takes the first one's channels, each as often as all others."""
    channels = _weight(model, chain.first).shape[0]
    return channels > 1 and _weight(model, chain.last).shape[1] % channels == 0


def _weight(model: nn.Module, layer: str) -> Tensor:
    return model.get_parameter(f"{layer}.weight")


def _can_scale(model: nn.Module, chain: Chain) -> bool:
    """Whether the last batch norm of a chain has a gain and a shift to be scaled."""
    norms = [n for n in chain.between if not is_depthwise(model.get_submodule(n))]
    return not norms or _has_gain(model, norms[-1])


def _has_gain(model: nn.Module, norm: str) -> bool:
    layer = model.get_submodule(norm)
    return layer.weight is not None and layer.bias is not None
