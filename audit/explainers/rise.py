"""RISE: which random masks leave a high score."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.probed_features import probed_features
from audit.models.module_interface import ScoreInterface, interface_of


@torch.no_grad()
def rise(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    masks: int = 2000,
    cells: int = 8,
    keep: float = 0.5,
    center: bool = False,
    seed: int = 0,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """RISE: mean of random soft masks, weighed by the score of the picture under each.

    Map is sum_m S(x M_m) M_m / (N p), mean over each patch. A masked pixel has the mean color,
    which is 0 after preprocessing. All pairs share the masks; features of the masked pictures are
    computed once for each distinct picture, in batches of bounded size.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        masks: N, how many there are.
        cells: side of the grid on which a mask is drawn, before it is enlarged and shifted.
        keep: p, the chance that a cell is shown.
        center: subtract the mean score first, so that cosines, which are alike for all masks, do
            not repeat how often each place happened to be shown.
        seed: of the masks.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), signed, in units of the score, and the model's scores.

    Raises:
        ValueError: no masks, no cells, or a chance outside ]0, 1].

    Source:
        Petsiuk, Das and Saenko, "RISE" (BMVC 2018), equation 6; released masks are those of
        `random_masks`.
    """
    interface = interface or interface_of(model)
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    distinct = images[pictures.first]
    scores = (interface.features(model, distinct)[pictures.of] * wanted).sum(-1)
    shown = random_masks((images.shape[-2], images.shape[-1]), masks, cells, keep, seed)
    shown = shown.to(images.device, images.dtype)
    features = probed_features(
        partial(interface.features, model),
        lambda of, number: distinct[of] * shown[number, None],
        len(distinct),
        masks,
        images.device,
    )
    masked = widen(torch.einsum("pme,pe->pm", features[pictures.of], wanted))
    if center:
        masked = masked - masked.mean(1, keepdim=True)
    means = patch_means(widen(shown), interface.patch_grid(model))
    return Explanation(torch.einsum("pm,mhw->phw", masked, means) / (masks * keep), scores)


def random_masks(
    size: tuple[int, int], number: int, cells: int, keep: float, seed: int
) -> Float[Tensor, "number H W"]:
    """Soft masks in [0, 1]: coarse random grids, enlarged and cut out at random places.

    Each is a grid of ``cells`` by ``cells`` Bernoulli draws, enlarged bilinearly by one cell more
    than the picture, and cut to the picture's size at a place drawn uniformly within one cell.

    Raises:
        ValueError: no masks, no cells, or a chance outside ]0, 1].
    """
    if number < 1 or cells < 1 or not 0 < keep <= 1:
        raise ValueError(
            "expected masks and cells of at least 1 and keep in ]0, 1], got "
            f"masks={number}, cells={cells}, keep={keep}"
        )
    generator = torch.Generator().manual_seed(seed)
    cell = [-(-side // cells) for side in size]
    coarse = (torch.rand(number, 1, cells, cells, generator=generator) < keep).float()
    large = [(cells + 1) * side for side in cell]
    shifts = torch.stack([torch.randint(side, (number,), generator=generator) for side in cell], 1)
    found = []
    for grid, (down, right) in zip(coarse.split(1), shifts.tolist(), strict=True):
        fine = functional.interpolate(grid, size=large, mode="bilinear", align_corners=False)
        found.append(fine[0, 0, down : down + size[0], right : right + size[1]])
    return torch.stack(found).clamp(0, 1)
