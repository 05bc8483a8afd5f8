"""CAAP: score of an empty picture into which a patch's activations are put."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import Pairs, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.probed_features import probed_features
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def caap(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int | None = None,
    stop: int | None = None,
    neutral: Literal["mean", "blurred"] = "mean",
    window: Literal[1, 3, 5] = 1,
) -> Explanation:
    """CAAP: gain of an empty picture's score when a patch's activations are put into its run.

    Before each block from ``start`` to ``stop - 1`` the patch's tokens are those of the picture;
    all other tokens go on from the empty picture. Runs are shared by the texts of a picture.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the first block before which tokens are put in; default a quarter of the
            way. The paper speaks of intermediate blocks; which ones, its summary does not tell.
        stop: number of the block before which this ends; default three quarters of the way.
        neutral: the empty picture: the ``mean`` color, 0 after preprocessing, or the picture
            ``blurred`` to its mean over a quarter of each side.
        window: side, in patches, of what is put in around a patch.

    Returns:
        Maps (pairs, rows, columns), signed, in units of the score, and the model's scores.

    Raises:
        ValueError: no block between start and stop.

    Source:
        Izadi et al., "Causal Attribution via Activation Patching" (arXiv 2603.13652, 2026), read in
        its summary.
    """
    pairs = pairs_of(model, images, targets, interface)
    blocks = len(pairs.tower.blocks)
    first = blocks // 4 if start is None else start
    end = max(first + 1, 3 * blocks // 4) if stop is None else stop
    if not 0 <= first < end <= blocks:
        msg = f"expected 0 <= start < stop <= {blocks}, the number of blocks, got {first} and {end}"
        raise ValueError(msg)
    source, scores = _states(pairs, pairs.images, first, end)
    blank, empty = _states(pairs, _emptied(pairs.images, neutral), first, end)
    patches = windows_of_tokens(pairs.tower.grid, window, source[0].shape[1]).to(images.device)
    features = probed_features(
        lambda tokens: tokens,
        lambda of, number: patched(
            pairs, [s[of] for s in source], blank[0][of], patches[number], first
        ),
        len(pairs.images),
        len(patches),
        images.device,
    )
    gained = torch.einsum("pne,pe->pn", features[pairs.picture], pairs.wanted) - empty[:, None]
    return Explanation(pairs.on_grid(widen(gained)), scores)


def patched(
    pairs: Pairs,
    source: list[Float[Tensor, "rows tokens width"]],
    blank: Float[Tensor, "rows tokens width"],
    chosen: Bool[Tensor, "rows tokens"],
    first: int,
) -> Float[Tensor, "rows feature"]:
    """Features of runs into which chosen tokens are put before each of some blocks.

    Args:
        pairs: what the runs belong to.
        source: the picture's tokens before each of these blocks.
        blank: what enters the first of them otherwise.
        chosen: which tokens are put in.
        first: number of the first of these blocks.
    """
    tower, x = pairs.tower, blank
    for number, own in enumerate(source, first):
        x = tower.run(torch.where(chosen[:, :, None], own, x), number, number + 1)
    x = tower.run(x, first + len(source), len(tower.blocks))
    return pairs.features(x[:, 0])


def windows_of_tokens(
    grid: tuple[int, int], side: int, tokens: int
) -> Bool[Tensor, "patches tokens"]:
    """Which tokens, of which the last are the patches, lie in the window around each patch."""
    row, column = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    near = [(x.flatten()[:, None] - x.flatten()).abs() <= side // 2 for x in (row, column)]
    within = near[0] & near[1]
    return torch.cat([within.new_zeros(len(within), tokens - len(within)), within], 1)


def _states(
    pairs: Pairs, pictures: Float[Tensor, "pictures 3 H W"], first: int, end: int
) -> tuple[list[Float[Tensor, "pictures tokens width"]], Float[Tensor, " pairs"]]:
    """Tokens before each block from ``first`` to ``end - 1``, and the scores of the pictures."""
    tower = pairs.tower
    x = tower.run(tower.embed(pictures), 0, first)
    found = []
    for number in range(first, end):
        found.append(x)
        x = tower.run(x, number, number + 1)
    return found, pairs.scores(tower.run(x, end, len(tower.blocks)))


def _emptied(
    images: Float[Tensor, "pictures 3 H W"], neutral: str
) -> Float[Tensor, "pictures 3 H W"]:
    if neutral == "mean":
        return torch.zeros_like(images)
    sides = [max(1, side // 4) | 1 for side in images.shape[-2:]]
    return nn.functional.avg_pool2d(
        widen(images), sides, 1, [side // 2 for side in sides], count_include_pad=False
    ).to(images.dtype)
