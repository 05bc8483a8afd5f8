"""What stands in the place of a removed patch: mean, blur, noise, black, or linear imputation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

FillName = Literal["mean", "dataset-mean", "blur", "noise", "black"]
Replacement = Callable[
    [Float[Tensor, "m 3 H W"], Bool[Tensor, "m H W"], Int[Tensor, " m"]], Float[Tensor, "m 3 H W"]
]
"""Replaces the marked pixels of pictures; the last argument says which pair each picture is."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Fill:
    """A fill for removed patches of normalized pictures.

    Attributes:
        kind: ``mean``, each picture's own mean color; ``dataset-mean``, zero after normalization;
            ``blur``, the picture under a Gaussian; ``noise``, uniform over the range of pixels,
            independent for each pixel and channel, drawn once per pair; ``black``.
        mean: the mean that the preprocessing subtracts, per channel, for ``noise`` and ``black``.
        std: the standard deviation that it divides by.
        sigma: of the Gaussian in pixels; by default the side of a patch, so that no patch shows
            through (RISE: 5 of 224 pixels, which leaves large patches readable).
        width: of its window in pixels; by default 4 sigma.
    """

    kind: FillName = "mean"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    sigma: float | None = None
    width: int | None = None

    def prepare(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Replacement:
        """The replacement for these pictures, with all its random numbers drawn."""
        filled = self.pictures(images, patch, generator)
        shared = len(filled) == 1

        def replace(
            pictures: Float[Tensor, "m 3 H W"],
            removed: Bool[Tensor, "m H W"],
            pair: Int[Tensor, " m"],
        ) -> Float[Tensor, "m 3 H W"]:
            return torch.where(removed[:, None], filled if shared else filled[pair], pictures)

        return replace

    def pictures(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Float[Tensor, "_ 3 _ _"]:
        """The pictures with everything removed, broadcastable to the shape of the images."""
        if self.kind == "mean":
            return images.mean((2, 3), keepdim=True)
        if self.kind == "dataset-mean":
            return torch.zeros_like(images[:1])
        if self.kind == "blur":
            sigma = self.sigma or patch
            return blur(images, sigma, self.width or 2 * round(2 * sigma) + 1)
        if self.kind not in ("noise", "black"):
            raise ValueError(f"expected a fill of {FillName}, got '{self.kind}'")
        mean, std = (images.new_tensor(x)[:, None, None] for x in (self.mean, self.std))
        if self.kind == "black":
            return (-mean / std)[None]
        return (uniform(images.shape, images, generator) - mean) / std


@dataclass(frozen=True)
class Counterpart:
    """A fill by other pictures of the same size, one for each pair.

    Attributes:
        pictures: what is seen where a patch was removed.
    """

    pictures: Float[Tensor, "n 3 H W"]

    def prepare(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Replacement:
        """The replacement for the pictures that these are counterparts of, in their order.

        Raises:
            ValueError: for pictures of another number or size.
        """
        del patch, generator
        if images.shape != self.pictures.shape:
            raise ValueError(
                f"expected counterparts of the pictures {tuple(images.shape)}, got "
                f"{tuple(self.pictures.shape)}"
            )

        def replace(
            pictures: Float[Tensor, "m 3 H W"],
            removed: Bool[Tensor, "m H W"],
            pair: Int[Tensor, " m"],
        ) -> Float[Tensor, "m 3 H W"]:
            return torch.where(removed[:, None], self.pictures[pair], pictures)

        return replace


def uniform(shape: torch.Size, like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), drawn where the generator lives, of another tensor's kind."""
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return drawn.to(like)


def blur(images: Float[Tensor, "n c H W"], sigma: float, width: int) -> Float[Tensor, "n c H W"]:
    """Pictures under a Gaussian window, which is renormalized at the border."""
    places = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    line = torch.exp(-places.square() / (2 * sigma * sigma))

    def smooth(x: Tensor) -> Tensor:
        rows = functional.conv2d(x, line[None, None, :, None], padding=(width // 2, 0))
        return functional.conv2d(rows, line[None, None, None], padding=(0, width // 2))

    height, side = images.shape[-2:]
    blurred = smooth(images.reshape(-1, 1, height, side))
    return (blurred / smooth(torch.ones_like(images[:1, :1]))).view_as(images)
