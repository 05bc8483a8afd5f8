"""Activations that keep the picture's places: feature maps of convolutions, tokens on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.nearest_name import hint

_MOST_PREFIX = 16
"""Class, distillation and register tokens before the patches; released models have up to five."""


@dataclass(frozen=True)
class Activation:
    """What a module gave, of which each place belongs to a place of the picture.

    Attributes:
        name: dotted name of the module.
        value: its output.
        channels_last: for (b, h, w, c) and for tokens (b, t, d); else (b, c, h, w).
        prefix: tokens before the patches, 0 for feature maps.
        grid: rows and columns.
    """

    name: str
    value: Float[Tensor, ...]
    channels_last: bool
    prefix: int
    grid: tuple[int, int]

    def on_grid(self, x: Float[Tensor, ...]) -> Float[Tensor, "b c h w"]:
        """The activation, or its gradient, as a feature map."""
        if x.ndim == 3:
            x = x[:, self.prefix :].unflatten(1, self.grid)
        return x.movedim(-1, 1) if self.channels_last else x


@dataclass
class Outputs:
    """What modules of a model gave.

    Attributes:
        place: where they were listened to, in words.
        layer: dotted name of the one module that was asked for, None for all.
        plain: whether only outputs count that are tensors by themselves.
        parted: dotted names of the modules that have parts.
        values: name and output, in the order in which the modules finished.
    """

    place: str
    layer: str | None
    plain: bool
    parted: frozenset[str]
    values: list[tuple[str, Tensor]] = field(default_factory=list)

    def keep(
        self, name: str, _module: nn.Module, given: tuple[Any, ...], named: Any, output: Any
    ) -> None:
        """A forward hook's work."""
        first = isinstance(output, (tuple, list)) and output and not self.plain
        value = output[0] if first else output
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return
        inputs = [v for v in (*given, *named.values()) if isinstance(v, Tensor)]
        if value.requires_grad and (value.ndim != 3 or _keeps_places(inputs, value)):
            self.values.append((name, value))


def _keeps_places(inputs: list[Tensor], tokens: Float[Tensor, "b t d"]) -> bool:
    """Whether tokens stand for the places of what a module was given: a picture, or as many tokens.

    The queries of a pooling by attention do not, whatever their number.
    """
    others = [x for x in inputs if x.ndim == 3 and len(x) == len(tokens)]
    pictures = any(x.ndim == 4 for x in inputs)
    return (pictures or bool(others)) and all(x.shape[1] == tokens.shape[1] for x in others)


@contextmanager
def outputs_kept(
    model: nn.Module, layer: str | None = None, *, plain: bool = False
) -> Iterator[Outputs]:
    """Keep what the modules of a model give, by hooks that are gone at the end.

    Args:
        model: the model.
        layer: dotted name of the one module to listen to, None for all.
        plain: pass over outputs that are no tensors by themselves, but tuples that begin with one.

    Raises:
        ValueError: the model has no such module.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if layer is not None and layer not in modules:
        raise ValueError(
            f"expected a module of {type(model).__name__} as the layer, found none named "
            f"'{layer}'{hint(layer, list(modules))}"
        )
    parted = frozenset(name for name, module in modules.items() if next(module.children(), None))
    place = type(model).__name__ if layer is None else f"layer '{layer}'"
    outputs = Outputs(place, layer, plain, parted)
    with ExitStack() as hooks:
        for name, module in modules.items() if layer is None else [(layer, modules[layer])]:
            handle = module.register_forward_hook(partial(outputs.keep, name), with_kwargs=True)
            hooks.callback(handle.remove)
        yield outputs


def chosen_activation(
    outputs: Outputs,
    images: Float[Tensor, "b 3 H W"],
    grid: tuple[int, int],
    score: Float[Tensor, ""],
) -> Activation:
    """The last activation with places that move the score, or that of the layer asked for.

    The patches of a last block move nothing where only its class token is read. Where the gradient
    is zero throughout, as at a class head of zeros, it is the last that the score depends on.

    Args:
        outputs: of the modules that ran on the pictures.
        images: the pictures that ran.
        grid: patches in rows and columns, where the model has patches.
        score: a sum of scores that was computed from these outputs.

    Raises:
        ValueError: there is none.
    """
    reached = None
    for activation in _activations(outputs, images, grid):
        (slope,) = torch.autograd.grad(
            score, activation.value, retain_graph=True, allow_unused=True
        )
        if slope is not None and bool(activation.on_grid(slope).any()):
            return activation
        reached = reached or (activation if slope is not None else None)
    if reached is None:
        raise ValueError(
            f"expected {outputs.place} to give a feature map (pairs, channels, h, w) or the tokens "
            "of a grid (pairs, tokens, width), through which the score flows, found none; name a "
            "module that does with the option layer"
        )
    return reached


def _activations(
    outputs: Outputs, images: Float[Tensor, "b 3 H W"], grid: tuple[int, int]
) -> Iterator[Activation]:
    """Activations with more than one place, the last first.

    Feature maps are outputs (b, c, h, w) or (b, h, w, c), whichever fits the picture's sides.
    Tokens are outputs (b, t, d) of modules that have parts, such as blocks, and so no queries or
    keys; what lies inside of a module that gives tokens is no feature map, such as attention. A
    layer that was asked for is taken as it is.
    """
    size = (images.shape[-2], images.shape[-1])
    values = [(name, value) for name, value in outputs.values if len(value) == len(images)]
    giving = {n for n, v in values if v.ndim == 3 and (n in outputs.parted or outputs.layer)}
    for name, value in reversed(values):
        if value.ndim == 4 and not any(name.startswith(f"{outer}.") for outer in giving):
            yield from _feature_map(name, value, size)
        elif value.ndim == 3 and name in giving:
            yield from _tokens(name, value, size, grid)


def _feature_map(name: str, value: Tensor, size: tuple[int, int]) -> Iterator[Activation]:
    first, last = (value.shape[2], value.shape[3]), (value.shape[1], value.shape[2])
    channels_last = _misfit(last, size) < _misfit(first, size)
    grid = last if channels_last else first
    if grid[0] * grid[1] > 1:
        yield Activation(name, value, channels_last, 0, grid)


def _misfit(grid: tuple[int, int], size: tuple[int, int]) -> float:
    """How far the sides of a grid are from those of the picture, by their ratio."""
    one, other = grid[0] * size[1], grid[1] * size[0]
    return max(one, other) / min(one, other)


def _tokens(
    name: str, value: Tensor, size: tuple[int, int], grid: tuple[int, int]
) -> Iterator[Activation]:
    """Tokens of the model's patches, else of the first grid that has the picture's ratio."""
    count = value.shape[1]
    prefix = count - grid[0] * grid[1]
    if 0 <= prefix <= _MOST_PREFIX // 2:
        yield Activation(name, value, channels_last=True, prefix=prefix, grid=grid)
        return
    for prefix in range(min(_MOST_PREFIX, count - 2) + 1):
        rows = round(((count - prefix) * size[0] / size[1]) ** 0.5)
        columns = (count - prefix) // max(rows, 1)
        if rows * columns == count - prefix and rows * size[1] == columns * size[0]:
            yield Activation(name, value, channels_last=True, prefix=prefix, grid=(rows, columns))
            return
