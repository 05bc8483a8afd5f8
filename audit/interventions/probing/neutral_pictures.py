"""Pictures with nothing in them, and what to put in the place of a patch."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Neutral = Literal["mean", "blur"]
Fill = Literal["mean", "blur", "texture"]

BLUR = 0.1


def neutral_pictures(
    images: Float[Tensor, "n 3 H W"], kind: Neutral = "mean"
) -> Float[Tensor, "n 3 H W"]:
    """Pictures without their content: of each one's mean color, or blurred beyond recognition.

    Args:
        images: preprocessed pictures.
        kind: ``mean``, or ``blur``: Gaussian, its standard deviation a tenth of the shorter side.

    Raises:
        ValueError: for another kind.
    """
    if kind == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images).contiguous()
    if kind == "blur":
        return blurred(images, BLUR * min(images.shape[2:]))
    raise ValueError(f"expected a neutral picture {_names(Neutral)}, got '{kind}'")


def fill_pictures(
    images: Float[Tensor, "n 3 H W"], fill: Fill, grid: tuple[int, int], side: int
) -> Float[Tensor, "donors n 3 H W"]:
    """What may be put in the place of a window; with ``texture`` one picture per donor side.

    Args:
        images: preprocessed pictures.
        fill: ``mean`` and ``blur`` as in `neutral_pictures`; ``texture`` takes the window next to
            it: the right one, where the border is in the way the left, the lower, the upper one.
        grid: patch rows and columns.
        side: patches per side of a window.

    Raises:
        ValueError: for another fill.
    """
    if fill == "texture":
        down, right = (side * s // g for s, g in zip(images.shape[2:], grid, strict=True))
        moves = ((0, -right), (0, right), (-down, 0), (down, 0))
        return torch.stack([images.roll(move, (2, 3)) for move in moves])
    if fill not in ("mean", "blur"):
        raise ValueError(f"expected a fill {_names(Fill)}, got '{fill}'")
    return neutral_pictures(images, fill)[None]


def donors(windows: Bool[Tensor, "windows h w"], fill: Fill, side: int) -> Int[Tensor, " windows"]:
    """Which of the fill pictures each window takes.

    Raises:
        ValueError: where a window has no neighbor of its size to take its texture from.
    """
    if fill != "texture":
        return torch.zeros(len(windows), dtype=torch.long, device=windows.device)
    rows, columns = windows.any(2), windows.any(1)
    beside = [~columns[:, -side:].any(1), ~columns[:, :side].any(1)]
    below = [~rows[:, -side:].any(1), ~rows[:, :side].any(1)]
    free = torch.stack(beside + below, dim=1)
    if not bool(free.any(1).all()):
        grid = tuple(windows.shape[1:])
        raise ValueError(
            f"expected room beside every window to take its texture from, got a window side of "
            f"{side} on a patch grid of {grid}; choose a third of the grid or less"
        )
    return free.int().argmax(1)


def blurred(images: Float[Tensor, "n 3 H W"], sigma: float) -> Float[Tensor, "n 3 H W"]:
    """Gaussian blur with reflected borders.

    Args:
        images: pictures.
        sigma: standard deviation in pixels, above 0.
    """
    radius = min(round(3 * sigma), min(images.shape[2:]) - 1)
    place = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])
    return functional.conv2d(rows, kernel.mT, groups=images.shape[1])


def pixels(
    masks: Bool[Tensor, "windows h w"], size: tuple[int, int]
) -> Bool[Tensor, "windows H W"]:
    """Masks of patches as masks of pixels; pixels beyond the last whole patch are never in one."""
    rows, columns = (s // g for s, g in zip(size, masks.shape[1:], strict=True))
    mask = masks.repeat_interleave(rows, 1).repeat_interleave(columns, 2)
    rest = (size[0] - mask.shape[1], size[1] - mask.shape[2])
    return functional.pad(mask, (0, rest[1], 0, rest[0]))


def _names(choices: object) -> str:
    return " or ".join(f"'{name}'" for name in get_args(choices))
