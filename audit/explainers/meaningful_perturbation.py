"""Meaningful perturbation: the smallest smooth region whose blurring lowers the score most."""

from __future__ import annotations

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
from audit.models.module_interface import ScoreInterface, interface_of

RATE, BETA, SUPPRESSED = 0.1, 3, 0.99
BLUR, MASK_BLUR, JITTER = 10, 5, 4


def meaningful_perturbation(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    steps: int = 300,
    cells: int = 28,
    area: float = 1e-4,
    variation: float = 1e-2,
    seed: int = 0,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Meaningful perturbation: a mask that lowers the score while it blurs little, evenly.

    The mask m in [0, 1] has cells by cells values, is enlarged and smoothed; 1 shows the picture, 0
    blurs it. Adam (rate 0.1) lowers a |1 - m| + v |grad m|^3 + S, added over cells, S of the
    picture moved by a few pixels at random. It begins with the smallest disk in the middle that
    takes 99 percent of what blurring all takes from the score. Lengths are those published for 224
    pixels, as shares of the shorter side. All pairs share the moves.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        steps: of the search.
        cells: side of the mask before it is enlarged.
        area: a, the weight of what is blurred.
        variation: v, the weight of uneven masks.
        seed: of the moves.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns) in [0, 1], 1 where the mask blurs, mean over each patch; and the
        model's scores.

    Raises:
        ValueError: no steps, or fewer than 2 cells.

    Source:
        Fong and Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation"
        (ICCV 2017), equation 4 and section 4.3, where the score is a probability.
    """
    if steps < 1 or cells < 2:
        raise ValueError(f"expected at least 1 step and 2 cells, got steps={steps}, cells={cells}")
    called = interface or interface_of(model)
    wanted = target_features(called, model, targets)
    with torch.no_grad():
        scores = (called.features(model, images) * wanted).sum(-1)
    search = _Search(called, model, steps, cells, area, variation, seed)
    some = batch_of(images.device)
    parts = zip(images.detach().split(some), wanted.split(some), strict=True)
    hidden = torch.cat([1 - search.masks(pictures, w) for pictures, w in parts])
    return Explanation(patch_means(hidden, called.patch_grid(model)), scores)


def roughness(mask: Float[Tensor, "b rows columns"]) -> Float[Tensor, " b"]:
    """Differences of neighbors, absolute, to the power of 3, added."""
    return sum(  # type: ignore[return-value]
        mask.diff(dim=axis).abs().pow(BETA).sum((1, 2)) for axis in (1, 2)
    )


def disks(cells: int) -> Float[Tensor, "disks cells cells"]:
    """Masks that are 0 within a disk in the middle, from the smallest to one that covers all."""
    place = torch.arange(cells) - (cells - 1) / 2
    distance = (place[:, None].square() + place.square()).sqrt()
    radii = torch.arange(1, int(distance.max()) + 2)
    return (distance > radii[:, None, None]).float()


class _Search:
    def __init__(
        self,
        interface: ScoreInterface,
        model: nn.Module,
        steps: int,
        cells: int,
        area: float,
        variation: float,
        seed: int,
    ) -> None:
        self.interface, self.model, self.steps, self.cells = interface, model, steps, cells
        self.area, self.variation, self.seed = area, variation, seed

    def masks(
        self, images: Float[Tensor, "pairs 3 H W"], wanted: Float[Tensor, "pairs feature"]
    ) -> Float[Tensor, "pairs H W"]:
        """The enlarged masks of pairs."""
        stack = pyramid(images, pixels_of(images, BLUR), 2)
        mask = self._first(stack, wanted).requires_grad_()
        generator = torch.Generator().manual_seed(self.seed)
        most = max(1, round(pixels_of(images, JITTER)))
        adam = torch.optim.Adam([mask], lr=RATE)
        for _ in range(self.steps):
            down, right = torch.randint(most, (2,), generator=generator).tolist()
            with torch.enable_grad():
                moved = functional.pad(stack.flatten(0, 1), (right, 0, down, 0), mode="replicate")
                moved = moved[..., : stack.shape[-2], : stack.shape[-1]].unflatten(0, (-1, 2))
                loss = self._scores(moved, mask, wanted).sum()
                loss = loss + self.area * (1 - mask).abs().sum()
                loss = loss + self.variation * roughness(mask).sum()
                (mask.grad,) = torch.autograd.grad(loss, mask)
            adam.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        with torch.no_grad():
            return self._enlarged(mask, stack).clamp(0, 1)

    @torch.no_grad()
    def _first(self, stack: Tensor, wanted: Tensor) -> Float[Tensor, "pairs cells cells"]:
        tried = disks(self.cells).to(stack.device, widen(stack).dtype)
        whole = self._scores(stack, torch.ones_like(tried[:1]).expand(len(stack), -1, -1), wanted)
        each = torch.stack(
            [self._scores(stack, one.expand(len(stack), -1, -1), wanted) for one in tried]
        )
        taken = (whole - each) * (whole - each[-1]).sign()
        enough = taken >= SUPPRESSED * (whole - each[-1]).abs()
        return tried[enough.int().argmax(0)].clone()

    def _enlarged(
        self, mask: Float[Tensor, "b rows columns"], stack: Float[Tensor, "b levels 3 H W"]
    ) -> Float[Tensor, "b H W"]:
        size = (stack.shape[-2], stack.shape[-1])
        large = functional.interpolate(mask[:, None], size=size, mode="bilinear")
        return blurred(large, pixels_of(stack[:, 0], MASK_BLUR))[:, 0]

    def _scores(
        self,
        stack: Float[Tensor, "b levels 3 H W"],
        mask: Float[Tensor, "b rows columns"],
        wanted: Float[Tensor, "b feature"],
    ) -> Float[Tensor, " b"]:
        seen = at_level(stack, self._enlarged(mask, stack))
        return (self.interface.features(self.model, seen) * wanted).sum(-1)
