"""Windows of patches, and what removing or restoring each of them did to a picture's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

State = TypeVar("State")


@dataclass(frozen=True)
class NullControl:
    """Largest differences of features that should be none, but for rounding.

    Attributes:
        everything: all patches, and the class token, taken from one picture, against that one's.
        nothing: no patch taken from it, against the other picture's.
    """

    everything: float
    nothing: float


@dataclass(frozen=True)
class Probed:
    """Features of pictures under a probe of each window; targets come in afterwards.

    Attributes:
        features: image features under each probe, (pictures, windows, embedding).
        reference: the same without any probe, (pictures, embedding).
        windows: patches of each window, (windows, h, w).
        restores: True where a probe puts something into a neutral run, so that its effect is a
            rise of the score; False where it takes something away and the effect is a drop.
    """

    features: Float[Tensor, "pictures windows e"]
    reference: Float[Tensor, "pictures e"]
    windows: Bool[Tensor, "windows h w"]
    restores: bool

    def window_effects(
        self, texts: Float[Tensor, "n e"], picture: Int[Tensor, " n"]
    ) -> Float[Tensor, "n windows"]:
        """Effect of each window on the score of each pair.

        Args:
            texts: target feature of each pair.
            picture: row of the pair's picture in `features`.
        """
        probed = torch.einsum("nwe,ne->nw", self.features[picture], texts)
        unprobed = (self.reference[picture] * texts).sum(-1, keepdim=True)
        return probed - unprobed if self.restores else unprobed - probed

    def effects(
        self, texts: Float[Tensor, "n e"], picture: Int[Tensor, " n"]
    ) -> Float[Tensor, "n h w"]:
        """Effect of each patch on each pair's score: the mean over the windows that cover it."""
        return spread(self.window_effects(texts, picture), self.windows)


def square_windows(
    grid: tuple[int, int], side: int, stride: int, device: torch.device | None = None
) -> Bool[Tensor, "windows h w"]:
    """Square windows that cover a patch grid, row by row; the last of each row meets the border.

    Args:
        grid: patch rows and columns.
        side: patches per side of a window.
        stride: patches from one window to the next, at most ``side``.
        device: of the result.

    Raises:
        ValueError: where the window does not fit, or windows would leave patches uncovered.
    """
    if not 1 <= side <= min(grid):
        raise ValueError(f"expected a window side from 1 to {min(grid)} patches, got {side}")
    if not 1 <= stride <= side:
        raise ValueError(f"expected a stride from 1 to the window side {side}, got {stride}")
    rows, columns = (_intervals(size, side, stride) for size in grid)
    masks = rows[:, None, :, None] & columns[None, :, None, :]
    return masks.flatten(0, 1).to(device)


def spread(
    values: Float[Tensor, "n windows"], windows: Bool[Tensor, "windows h w"]
) -> Float[Tensor, "n h w"]:
    """Mean, at each patch, of the values of the windows that cover it."""
    cover = windows.to(values.dtype)
    return torch.einsum("nw,wyx->nyx", values, cover) / cover.sum(0)


def token_masks(
    windows: Bool[Tensor, "windows h w"], prefix: int = 1
) -> Bool[Tensor, "windows tokens"]:
    """The same windows over the image tower's tokens, those before the patches left out.

    Args:
        windows: of patches.
        prefix: tokens before the patches, such as the class token.
    """
    flat = windows.flatten(1)
    return torch.cat([flat.new_zeros(len(flat), prefix), flat], dim=1)


def sweep(
    images: Float[Tensor, "pictures 3 H W"],
    masks: Shaped[Tensor, "windows ..."],
    batch: int,
    prepare: Callable[[Tensor], State],
    probe: Callable[[State, Tensor], Tensor],
) -> Float[Tensor, "pictures windows e"]:
    """Probe every window of every picture with at most ``batch`` rows in a forward pass.

    Args:
        images: the pictures.
        masks: the windows, in whatever form ``probe`` reads.
        batch: rows at a time.
        prepare: computes what all windows of some pictures share, once.
        probe: from that and some windows to features (pictures, windows, embedding).

    Raises:
        ValueError: where ``batch`` is below 1.
    """
    if batch < 1:
        raise ValueError(f"expected a batch of 1 or more, got {batch}")
    pictures = max(1, batch // len(masks))
    rows = []
    for chunk in torch.split(images, pictures):
        state = prepare(chunk)
        rows.append(
            torch.cat([probe(state, w) for w in torch.split(masks, batch // len(chunk))], dim=1)
        )
    return torch.cat(rows)


def chunked(
    function: Callable[[Tensor], Tensor], rows: Tensor, batch: int
) -> Float[Tensor, "rows e"]:
    """A function of a batch, at most ``batch`` rows at a time."""
    return torch.cat([function(chunk) for chunk in torch.split(rows, batch)])


def _intervals(size: int, side: int, stride: int) -> Bool[Tensor, "starts size"]:
    starts = torch.tensor(sorted({*range(0, size - side + 1, stride), size - side}))
    place = torch.arange(size)
    return (place >= starts[:, None]) & (place < starts[:, None] + side)
