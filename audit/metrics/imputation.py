"""Noisy linear imputation of removed pixels (ROAD), batched as one conjugate gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.metrics.imputation_system import solve

if TYPE_CHECKING:
    from audit.metrics.fills import Replacement

_CACHED = 125_000  # numbers per tensor that a processor's cache holds


@dataclass(frozen=True)
class NoisyLinear:
    """ROAD's fill: each removed pixel is the weighted mean of its eight neighbors, plus noise.

    The means of all removed pixels are solved for together: direct neighbors weigh twice as much as
    diagonal ones, and neighbors outside the picture do not count.

    Attributes:
        noise: standard deviation of the Gaussian noise, in units of normalized pixels.
        tolerance: largest residual of the means, in the same units; the means themselves are then
            known to a tenth of the noise in the root of the mean square, to 0.6 at the worst pixel.
        most_steps: of the conjugate gradient.

    Source: Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods
    (ICML 2022), and their code, which solves one sparse system per picture and fraction.
    """

    noise: float = 0.01
    tolerance: float = 4e-4
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


def impute(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float = 4e-4,
    most_steps: int = 1000,
    block: int = 1,
) -> Float[Tensor, "m c H W"]:
    """Pictures whose removed pixels are the weighted means of their neighbors.

    Solves (D - W) x = 0 at the removed pixels, a symmetric positive definite system, by
    conjugate gradients from the mean of what remains; pictures that have converged leave the batch.
    The preconditioner is D and, where whole blocks of ``block`` pixels a side are removed, a coarse
    system with one unknown per block, which carries values across large holes in one step. A
    picture with nothing left becomes zero, the data's mean color.
    """
    size = max(1, _CACHED // images[0].numel()) if images.device.type == "cpu" else len(images)
    order = (
        removed.flatten(1).sum(1).argsort(stable=True)
    )  # those that lose about as much end together
    result = torch.empty_like(images)
    for part in order.split(size):
        result[part] = solve(images[part], removed[part], tolerance, most_steps, block)
    return result
