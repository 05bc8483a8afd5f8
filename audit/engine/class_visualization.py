"""The picture that a model scores highest for a text, by regularized activation maximization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from audit.data.errors import DataError
from audit.models.model_under_audit import ModelUnderAudit

RATE = 0.05


@dataclass(frozen=True)
class Visualization:
    """What was found.

    Attributes:
        image: (3, H, W), preprocessed: 0 is the mean color.
        score: the model's score of it.
        start: its score of the mean color.
    """

    image: Float[Tensor, "3 H W"]
    score: float
    start: float


def visualized(
    model: ModelUnderAudit, target: Int[Tensor, " ..."], *, steps: int, decay: float
) -> Visualization:
    """Maximize logit(I) - decay |I|^2 over pictures I, from the mean color, by Adam.

    The logit is the score times the model's own scale; the weights stay as they are. The pace falls
    evenly to 0.

    Args:
        model: the model.
        target: of the text, one row.
        steps: of ascent.
        decay: weight of the squared length.

    Raises:
        DataError: no step, or a decay that is not positive.

    Source:
        Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), section 2.
    """
    if steps < 1 or decay <= 0:
        raise DataError(f"expected steps >= 1 and decay > 0, got {steps} and {decay:g}")
    wanted = target[None].to(model.device)
    side = model.image_size

    def score(images: Tensor) -> Tensor:
        return model.score(images, wanted.expand(len(images), *wanted.shape[1:]))[0]

    blank = torch.zeros(1, 3, side, side, device=model.device, dtype=model.dtype)
    scale = model.logit_scale
    found = ascended(lambda x: scale * score(x), blank, steps=steps, decay=decay)
    with torch.no_grad():
        return Visualization(found[0], float(score(found)), float(score(blank)))


def ascended(
    objective: Callable[[Tensor], Tensor], start: Tensor, *, steps: int, decay: float
) -> Tensor:
    """The maximum of objective(x) - decay |x|^2 that Adam reaches from a start."""
    x = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        with torch.enable_grad():
            loss = decay * (x * x).sum() - objective(x)
        (x.grad,) = torch.autograd.grad(loss, x)
        optimizer.step()
    return x.detach()
