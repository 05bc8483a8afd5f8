"""The grid on which maps are compared, for a model whose inside is not known: by looking at it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from audit.models.anatomy import UnknownAnatomyError
from audit.models.identity import architecture_sha256
from audit.models.model_under_audit import ModelInterface

Grid = tuple[int, int]
_PICTURES = 2  # what is no picture, such as a window of one, has another number of rows
_MOST_PREFIX = 16
_STRIDE, _LEAST = 32, 4

_OF_MODULE: WeakKeyDictionary[nn.Module, tuple[int, Grid]] = WeakKeyDictionary()
_OF_STRUCTURE: dict[tuple[str, int], Grid] = {}


def grid_of(interface: ModelInterface, module: nn.Module) -> Grid:
    """Rows and columns of the grid of a model: of its anatomy, or as observed without one."""
    try:
        return interface.anatomy(module).image.grid
    except UnknownAnatomyError:
        size = interface.image_size(module)
        return observed_grid(module, size, lambda images: interface.features(module, images))


def observed_grid(module: nn.Module, size: int, run: Callable[[Tensor], object]) -> Grid:
    """Rows and columns of the last feature map that the module computes of a picture.

    The module runs once on two blank pictures, and is left as it was. The last output of a part
    that is a feature map, (b, channels, h, w) or (b, h, w, channels) and coarser than the picture,
    gives the grid: in a convolutional net the last one before pooling, in a transformer the patch
    embedding. Without any it is the square that the last tokens fill, beside a few prefix tokens;
    else one cell for every 32 pixels.

    Args:
        module: in eval mode.
        size: side of its pictures in pixels.
        run: how pictures (2, 3, size, size) enter it.

    Returns:
        The grid; remembered for this module, and for others of its structure.
    """
    known = _OF_MODULE.get(module)
    if known is None or known[0] != size:
        structure = (architecture_sha256(module), size)
        if structure not in _OF_STRUCTURE:
            _OF_STRUCTURE[structure] = _observe(module, size, run)
        known = _OF_MODULE[module] = (size, _OF_STRUCTURE[structure])
    return known[1]


def _observe(module: nn.Module, size: int, run: Callable[[Tensor], object]) -> Grid:
    place: Any = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(1))
    pictures = torch.zeros(_PICTURES, 3, size, size, device=place.device, dtype=place.dtype)
    with torch.no_grad(), _watched(module) as (maps, tokens):
        run(pictures)
    side = next((s for s in map(_side_of_map, reversed(maps)) if s and 1 < s <= size / 2), None)
    if side is None:
        side = next((s for s in map(_side_of_tokens, reversed(tokens)) if s), None)
    side = side or max(size // _STRIDE, min(size, _LEAST))
    return side, side


@contextlib.contextmanager
def _watched(module: nn.Module) -> Iterator[tuple[list[torch.Size], list[torch.Size]]]:
    """Shapes of the feature maps and of the tokens that parts give, in the order of the pass.

    What a part computes of tokens is no feature map, though heads and attention have four
    dimensions as well.
    """
    maps: list[torch.Size] = []
    tokens: list[torch.Size] = []
    within: list[bool] = []

    def enter(_: nn.Module, given: tuple[Any, ...]) -> None:
        inputs = [x for x in given if isinstance(x, Tensor)]
        of_tokens = bool(inputs) and inputs[0].ndim == 3
        within.append(of_tokens or bool(within and within[-1]))

    def leave(_: nn.Module, __: object, output: object) -> None:
        inside = within.pop() if within else False
        found = _tensor_of(output)
        if found is None or len(found.shape) not in (3, 4) or len(found) != _PICTURES:
            return
        if found.ndim == 3:
            tokens.append(found.shape)
        elif not inside:
            maps.append(found.shape)

    parts = [p for p in module.modules() if not isinstance(p, torch.jit.ScriptModule)]
    hooks = [p.register_forward_pre_hook(enter) for p in parts]
    hooks += [p.register_forward_hook(leave) for p in parts]
    try:
        yield maps, tokens
    finally:
        for hook in hooks:
            hook.remove()


def _tensor_of(output: object) -> Tensor | None:
    """What a part gives: a tensor, or the first one of several."""
    if isinstance(output, dict):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        output = next((x for x in output if isinstance(x, Tensor)), None)
    return output if isinstance(output, Tensor) else None


def _side_of_map(shape: torch.Size) -> int | None:
    _, one, two, three = shape
    if two == three:
        return two
    return one if one == two else None


def _side_of_tokens(shape: torch.Size) -> int | None:
    for prefix in range(_MOST_PREFIX + 1):
        side = math.isqrt(max(shape[1] - prefix, 0))
        if side > 1 and side * side == shape[1] - prefix:
            return side
    return None
