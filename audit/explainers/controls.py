"""Controls: maps that cannot explain the model, and the inverse of any explainer's map."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explainer, Explanation, run_explainer
from audit.explainers.distinct import row_bits
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.models.module_interface import ScoreInterface, interface_of

_GOLDEN = -7046029254386353131  # 2^64 divided by the golden ratio, as a signed integer


@torch.no_grad()
def random(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],  # noqa: ARG001 - the contract's signature
    *,
    seed: int = 0,
    interface: ScoreInterface | None = None,
) -> Float[Tensor, "pairs rows columns"]:
    """Independent uniform relevance of each patch, seeded by the picture's content.

    The same picture gets the same map in every batch and on every device; of the model only the
    patch grid is read.

    Returns:
        Maps (pairs, rows, columns) in [0, 1).

    Source:
        SplitMix64 (Steele, Lea and Flood 2014) as a counter-based generator.
    """
    rows, columns = (interface or interface_of(model)).patch_grid(model)
    bits = row_bits(images).long()
    place = torch.arange(bits.shape[1], device=images.device)
    content = (bits * (_mix(place + 1) | 1)).sum(dim=1, keepdim=True)
    counter = torch.arange(rows * columns, device=images.device) * _GOLDEN
    draw = _mix(_mix(content + seed * _GOLDEN) + counter)
    return (_shift(draw, 40).float() / 2**24).reshape(-1, rows, columns)


@torch.no_grad()
def center_prior(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],  # noqa: ARG001 - the contract's signature
    *,
    interface: ScoreInterface | None = None,
) -> Float[Tensor, "pairs rows columns"]:
    """Gaussian of the distance to the picture's center, sigma a quarter of each side.

    Of the model only the patch grid is read.

    Returns:
        Maps (pairs, rows, columns) in (0, 1].
    """
    falls = []
    for side in (interface or interface_of(model)).patch_grid(model):
        place = (torch.arange(side, device=images.device) + 0.5) / side - 0.5
        falls.append(torch.exp(-0.5 * (place / 0.25) ** 2))
    return torch.outer(*falls).expand(len(images), -1, -1).to(widen(images).dtype)


@torch.no_grad()
def edges(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],  # noqa: ARG001 - the contract's signature
    *,
    interface: ScoreInterface | None = None,
) -> Float[Tensor, "pairs rows columns"]:
    """Sobel magnitude of the gray picture, mean over each patch.

    Of the model only the patch grid is read.

    Returns:
        Maps (pairs, rows, columns), at least 0.

    Source:
        Adebayo et al., "Sanity Checks for Saliency Maps" (2018), who compare with an edge detector.
    """
    gray = functional.pad(widen(images).mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    sobel = gray.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    slopes = functional.conv2d(gray, torch.stack([sobel, sobel.T])[:, None])
    magnitude = slopes.norm(dim=1)
    return patch_means(magnitude, (interface or interface_of(model)).patch_grid(model))


def inverted(explainer: Explainer) -> Explainer:
    """The explainer whose map is the maximum of the given one's map minus that map."""

    def explain(
        model: nn.Module,
        images: Float[Tensor, "pairs 3 H W"],
        targets: Int[Tensor, "pairs ..."],
        /,
        **asked: Any,
    ) -> Explanation:
        inner = dataclasses.replace(explainer, explain=partial(explainer.explain, **asked))
        found = run_explainer(inner, model, images, targets)
        maps = found.maps.amax(dim=(1, 2), keepdim=True) - found.maps
        return dataclasses.replace(found, maps=maps)

    twin = explainer.faithful_twin
    return dataclasses.replace(
        explainer,
        name=f"inverted:{explainer.name}",
        explain=explain,
        summary=f"Inverse of: {explainer.summary}" if explainer.summary else "",
        faithful_twin=None if twin is None else f"inverted:{twin}",
    )


def _shift(x: Tensor, by: int) -> Tensor:
    """Logical shift to the right: torch's own keeps the sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mix(x: Tensor) -> Tensor:
    """Scramble 64 bits (the finalizer of SplitMix64); products wrap around."""
    x = (x ^ _shift(x, 30)) * -4658895280553007687
    x = (x ^ _shift(x, 27)) * -7723592293110705685
    return x ^ _shift(x, 31)
