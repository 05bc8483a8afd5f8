"""Noisy linear imputation of removed pixels (ROAD), batched as one conjugate gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.metrics.fills import Replacement
from audit.metrics.neighbor_means.blocks import RemovedBlocks
from audit.metrics.neighbor_means.conjugate_gradients import NeighborMeans, solve
from audit.metrics.neighbor_means.whole_pictures import RemovedPixels

_CACHED = 250_000  # numbers per tensor that a processor's cache holds


@dataclass(frozen=True)
class NoisyLinear:
    """ROAD's fill: each removed pixel is the weighted mean of its eight neighbors, plus noise.

    The means of all removed pixels are solved for together: direct neighbors weigh twice as much as
    diagonal ones, and neighbors outside the picture do not count.

    Attributes:
        noise: standard deviation of the Gaussian noise, in units of normalized pixels.
        tolerance: root mean square error of the means that is aimed at, in the same units: a tenth
            of the noise, and about the noise itself at the worst pixel.
        most_steps: of the conjugate gradient.

    Source: Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods
    (ICML 2022), and their code, which solves one sparse system per picture and fraction.
    """

    noise: float = 0.01
    tolerance: float = 1e-3
    most_steps: int = 1000

    def prepare(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Replacement:
        """The replacement for these pictures, with its noise drawn once per pair."""
        where = generator.device
        drawn = torch.randn(images.shape, generator=generator, device=where, dtype=torch.float32)
        noise = self.noise * drawn.to(images)
        block = int(patch) if patch == int(patch) else 1

        def imputed(
            pictures: Float[Tensor, "m 3 H W"],
            removed: Bool[Tensor, "m H W"],
            pair: Int[Tensor, " m"],
        ) -> Float[Tensor, "m 3 H W"]:
            means = impute(pictures, removed, self.tolerance, self.most_steps, block)
            return torch.where(removed[:, None], means + noise[pair], pictures)

        return imputed


@torch.no_grad()
def impute(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float = 1e-3,
    most_steps: int = 1000,
    block: int = 1,
) -> Float[Tensor, "m c H W"]:
    """Pictures whose removed pixels are the weighted means of their neighbors.

    Where whole blocks of ``block`` pixels a side are removed, only their frames are solved for
    (`audit.metrics.neighbor_means.blocks`). A picture with nothing left becomes zero, the data's
    mean color.

    Args:
        images: pictures, with anything in the removed pixels.
        removed: which pixels.
        tolerance: root mean square error aimed at, in units of pixels.
        most_steps: of the conjugate gradient.
        block: side of the blocks that may be removed as a whole, in pixels.
    """
    blocks = _whole_blocks(removed, block)
    given, images = images, images.to(torch.promote_types(images.dtype, torch.float32))
    size = len(images)
    if images.device.type == "cpu":
        cached = _CACHED if blocks is None else 3 * _CACHED  # frames are fewer numbers than pixels
        size = max(1, cached // images[0].numel())
    order = removed.flatten(1).sum(1).argsort(stable=True)  # those alike take as many steps
    found = torch.empty_like(images)
    for rows in order.split(size):
        system: NeighborMeans
        if blocks is None:
            system = RemovedPixels.of(images[rows], removed[rows])
        else:
            system = RemovedBlocks.of(images[rows], blocks[rows])
        found[rows] = system.pictures(solve(system, tolerance, most_steps))
    return found.to(given.dtype)


def _whole_blocks(removed: Bool[Tensor, "m H W"], block: int) -> Bool[Tensor, "m h w"] | None:
    """Which blocks are removed, None where there are none, one, or some are removed in part."""
    height, width = removed.shape[1:]
    if block == 1 or height % block or width % block or height * width == block**2:
        return None
    tiles = removed.unflatten(2, (-1, block)).unflatten(1, (-1, block))
    whole = tiles.all(4).all(2)
    return whole if torch.equal(whole, tiles.any(4).any(2)) else None
