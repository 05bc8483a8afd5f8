"""Extremal perturbation: which regions of given sizes, shown alone, leave the highest score."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.perturbed_pictures import at_level, blurred, pixels_of, pyramid
from audit.explainers.probed_features import batch_of
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import ScoreInterface, interface_of

AREAS = (0.025, 0.05, 0.1, 0.2)
RATE, MOMENTUM, GROWTH = 0.01, 0.9, 1.0035
STEP, SIGMA, COLDNESS = 7, 21, 20
LEVELS, MOST_BLUR, SMOOTHING = 8, 20, 0.09


def extremal_perturbation(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    steps: int = 800,
    area: float | None = None,
    weight: float = 300.0,
    scale: float | None = None,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Extremal perturbation: smooth masks of given areas that keep the score high, added.

    The picture is seen through a mask: 1 shows it, 0 blurs it. A mask is the smooth maximum of
    bumps on a coarse grid of weights in [0, 1], which begin at 1 and follow the gradient of the
    score less the weighted mean squared difference of the sorted mask and the step of the wanted
    area, both with the margin around the picture into which bumps reach. Every second step sees
    the picture mirrored. Lengths are those published for 224 pixels, as shares of the shorter side.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        steps: of the search; 100 are a cheaper setting.
        area: share of the picture; default one mask for each of 0.025, 0.05, 0.1 and 0.2.
        weight: of the area at the first step; it grows by 0.35 percent a step.
        scale: factor of the score, which the paper takes to be a logit; default the model's own
            factor from score to logit where its interface tells one, else 1.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), at least 0: the masks added and smoothed, mean over each
        patch; and the model's scores.

    Raises:
        ValueError: no steps, or an area outside ]0, 1[.

    Source:
        Fong, Patrick and Vedaldi, "Understanding Deep Networks via Extremal Perturbations and
        Smooth Masks" (ICCV 2019), section 3; settings of the released benchmark.
    """
    if steps < 1 or not (area is None or 0 < area < 1):
        raise ValueError(
            f"expected at least 1 step and an area in ]0, 1[, got steps={steps}, area={area}"
        )
    called = interface or interface_of(model)
    wanted = target_features(called, model, targets)
    areas = AREAS if area is None else (area,)
    search = _Search(called, model, areas, steps, weight, _scale(interface, model, scale))
    some = max(1, batch_of(images.device) // len(areas))
    parts = zip(images.detach().split(some), wanted.split(some), strict=True)
    masks = torch.cat([search.masks(pictures, w) for pictures, w in parts])
    with torch.no_grad():
        scores = (called.features(model, images) * wanted).sum(-1)
    smooth = blurred(masks.sum(1, keepdim=True), SMOOTHING * min(images.shape[-2:]))[:, 0]
    return Explanation(patch_means(smooth, called.patch_grid(model)), scores)


def _scale(interface: ModelInterface | None, model: nn.Module, scale: float | None) -> float:
    if scale is not None or interface is None:
        return 1.0 if scale is None else scale
    return interface.logit_scale(model)


class _SmoothMaximum(torch.autograd.Function):
    """Over points, sum r softmax(c r) of r = weight x bump, mask by mask so that caches hold it.

    With r in [0, 1] its powers need no shift. Its gradient by r is softmax(c r) (1 + c (r - sum)).
    """

    @staticmethod
    def forward(
        ctx: Any, near: Float[Tensor, "b points cells"], bumps: Float[Tensor, "points pixels 1"]
    ) -> Float[Tensor, "b pixels cells"]:
        found, totals = [], []
        for weights in near:
            raised = weights[:, None] * bumps
            powers = (COLDNESS * raised).exp_()
            totals.append(powers.sum(0))
            found.append(raised.mul_(powers).sum(0).div_(totals[-1]))
        ctx.save_for_backward(near, bumps, smooth := torch.stack(found), torch.stack(totals))
        return smooth

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        near, bumps, smooth, totals = ctx.saved_tensors
        found = []
        for weights, one, total, gradient in zip(near, smooth, totals, *gradients, strict=True):
            raised = weights[:, None] * bumps
            powers = (COLDNESS * raised).exp_().mul_(gradient / total)
            raised.mul_(COLDNESS).add_(1 - COLDNESS * one).mul_(powers)
            found.append(raised.mul_(bumps).sum(1))
        return torch.stack(found), None


class SmoothMask:
    """How weights on a coarse grid make a mask: the smooth maximum of bumps around its points.

    Args:
        images: whose size the mask has, and whose device.

    Attributes:
        grid: rows and columns of the weights.
        margin: pixels on each side of the picture into which bumps reach.
    """

    def __init__(self, images: Float[Tensor, "b 3 H W"]) -> None:
        self.size = (images.shape[-2], images.shape[-1])
        self.step = math.ceil(pixels_of(images, STEP))
        sigma = pixels_of(images, SIGMA)
        reach = math.ceil(sigma / self.step)
        self.grid = (-(-self.size[0] // self.step), -(-self.size[1] // self.step))
        self.beyond, self.radius, self.margin = reach, reach + 1, reach * self.step
        offsets = torch.arange(-self.radius, self.radius + 1, dtype=torch.float64) * self.step
        inside = torch.arange(self.step) - (self.step - 1) / 2
        apart = (offsets[:, None] - inside).square()  # from a pixel to points around its cell
        distance = (apart[:, None, :, None] + apart[None, :, None]).sqrt().flatten(0, 1)
        bumps = torch.exp(-2 * (distance / sigma - 0.5).clamp_min(0).square())
        self.bumps = bumps.flatten(1)[..., None].to(images.device, widen(images).dtype)

    def __call__(self, weights: Float[Tensor, "b rows columns"]) -> Float[Tensor, "b all_H all_W"]:
        """The masks that weights make, with their margins."""
        wide = functional.pad(weights, (self.beyond,) * 4)
        near = functional.unfold(wide[:, None], 2 * self.radius + 1, padding=self.radius)
        smooth: Tensor = _SmoothMaximum.apply(near, self.bumps)
        return functional.pixel_shuffle(smooth.unflatten(2, wide.shape[1:]), self.step)[:, 0]

    def visible(self, mask: Float[Tensor, "b all_H all_W"]) -> Float[Tensor, "b H W"]:
        """Of masks with margins what lies on the picture."""
        first = self.margin
        return mask[:, first : first + self.size[0], first : first + self.size[1]]


class _Search:
    def __init__(
        self,
        interface: ScoreInterface,
        model: nn.Module,
        areas: tuple[float, ...],
        steps: int,
        weight: float,
        scale: float,
    ) -> None:
        self.interface, self.model, self.areas = interface, model, areas
        self.steps, self.weight, self.scale = steps, weight, scale

    def masks(
        self, images: Float[Tensor, "pairs 3 H W"], wanted: Float[Tensor, "pairs feature"]
    ) -> Float[Tensor, "pairs areas H W"]:
        """The masks of pairs, one for each area."""
        mask, number = SmoothMask(images), len(self.areas)
        stack = pyramid(images, pixels_of(images, MOST_BLUR), LEVELS).repeat_interleave(number, 0)
        wanted = wanted.repeat_interleave(number, 0)
        weights = mask.bumps.new_ones(len(stack), *mask.grid).requires_grad_()
        wanted_masks = self._steps(mask(weights.detach()), len(images))
        search = torch.optim.SGD([weights], lr=RATE, momentum=MOMENTUM, dampening=MOMENTUM)
        for count in range(self.steps):
            with torch.enable_grad():
                whole = mask(weights)
                seen = at_level(stack, mask.visible(whole))
                seen = seen if count % 2 else seen.flip(-1)
                score = (self.interface.features(self.model, seen) * wanted).sum()
                apart = whole.flatten(1).sort(1).values - wanted_masks
                off = apart.square().mean(1).sum()
                loss = self.weight * GROWTH**count * off - self.scale * score
                (weights.grad,) = torch.autograd.grad(loss, weights)
            search.step()
            with torch.no_grad():
                weights.clamp_(0, 1)
        with torch.no_grad():
            found: Tensor = mask.visible(mask(weights)).unflatten(0, (-1, number))
        return found

    def _steps(self, masks: Float[Tensor, "rows H W"], pairs: int) -> Float[Tensor, "rows pixels"]:
        """Sorted masks of the wanted areas: 0, then 1."""
        pixels = masks[0].numel()
        ends = torch.tensor([int(pixels * (1 - a)) for a in self.areas], device=masks.device)
        places = torch.arange(pixels, device=masks.device)
        return (places >= ends.repeat(pairs)[:, None]).to(masks)
