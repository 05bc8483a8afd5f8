"""Pictures blurred where a mask hides them, for methods that look for the mask."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.fills import blur

PUBLISHED_SIDE = 224


def pixels_of(images: Float[Tensor, "b 3 H W"], published: float) -> float:
    """A length that was published for pictures of 224 pixels, in pixels of the shorter side."""
    return published * min(images.shape[-2:]) / PUBLISHED_SIDE


def blurred(x: Float[Tensor, "b c H W"], sigma: float) -> Float[Tensor, "b c H W"]:
    """Under a Gaussian of this standard deviation in pixels; the same where it is 0."""
    return x if sigma <= 0 else blur(x, sigma, 2 * math.ceil(3 * sigma) + 1)


def pyramid(
    images: Float[Tensor, "b 3 H W"], sigma: float, levels: int
) -> Float[Tensor, "b levels 3 H W"]:
    """Each picture from its most blurred to itself, standard deviations evenly spaced."""
    shares = torch.linspace(1, 0, levels).tolist()
    return torch.stack([blurred(images, sigma * share) for share in shares], 1)


def at_level(
    stack: Float[Tensor, "b levels 3 H W"], masks: Float[Tensor, "b H W"]
) -> Float[Tensor, "b 3 H W"]:
    """Of each pixel the level that a mask tells, 0 for the first and 1 for the last, linearly."""
    last = stack.shape[1] - 1
    place = masks * last
    below = place.detach().floor().clamp(0, last - 1)
    index = below.long()[:, None, None].expand(-1, 1, *stack.shape[2:])
    low, high = (stack.gather(1, index + more)[:, 0] for more in (0, 1))
    share = (place - below)[:, None].to(stack.dtype)
    return low + share * (high - low)
