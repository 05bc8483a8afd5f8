"""Adversarial counterparts of pictures, whose patches are AIM's fill."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.perturbation import Score

STEPS = 10


def adversarial_counterpart(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    reach: Float[Tensor, "3 1 1"],
    *,
    steps: int = STEPS,
    batch_size: int = 128,
) -> Float[Tensor, "n 3 H W"]:
    """Pictures that hardly differ and score as low as signed gradient steps bring them.

    Projected gradient descent on the pair's own score: ``steps`` steps of ``reach/steps`` along the
    sign of the gradient, so that no value moves by more than ``reach`` and nothing is left to
    project. Values are not clamped: preprocessed pixels may be of any size and sign. Source: Madry
    et al. (ICLR 2018); Hsieh, Fang and Wei, AIM (arXiv 2605.16905, 2026).

    Args:
        score: differentiable, told which pair each picture belongs to.
        images: preprocessed pictures of the pairs.
        reach: largest move of a value by channel, in units of preprocessed pixels.
        steps: gradients for each picture.
        batch_size: pictures per call of ``score``.
    """
    found = images.detach().clone()
    for rows in torch.arange(len(images), device=images.device).split(batch_size):
        for _ in range(steps):
            with torch.enable_grad():
                at = found[rows].requires_grad_()
                (slope,) = torch.autograd.grad(score(at, rows).sum(), at)
            found[rows] -= reach / steps * slope.sign()
    return found
