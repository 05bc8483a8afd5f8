"""Scores of pictures from which patches are removed in the order of a saliency map.

One engine serves every measure of faithfulness: it is given a score function and removes the k
most (MoRF) or least (LeRF) relevant patches of each picture. Removing the least relevant first is
inserting the most relevant last, so the LeRF curve read backwards is the insertion curve onto the
same fill, and two curves give deletion, insertion and the area between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from audit.metrics.fills import Counterpart, Fill, FillName, Replacement, uniform
from audit.metrics.imputation import NoisyLinear

Order = Literal["morf", "lerf"]
Start = Literal["picture", "fill"]
Score = Callable[[Float[Tensor, "m 3 H W"], Int[Tensor, " m"]], Float[Tensor, " m"]]
"""Scores of perturbed pictures; the second argument says which pair each picture belongs to."""

_FILLED = 48  # pictures that are filled at once, where fewer are scored at once
AnyFill = Fill | NoisyLinear | Counterpart | FillName


def patch_counts(fractions: Sequence[float], patches: int) -> list[int]:
    """How many whole patches each fraction stands for, rounded half up."""
    if not all(0 <= f <= 1 for f in fractions):
        raise ValueError(f"expected fractions in [0, 1], got {list(fractions)}")
    return [int(f * patches + 0.5 + 1e-9) for f in fractions]


def removal_ranks(
    maps: Float[Tensor, "n h w"], order: Order, ties: Float[Tensor, "n p"]
) -> Int[Tensor, "n h w"]:
    """When each patch is removed, 0 first; equal values go in the random order of ``ties``.

    The same ``ties`` serve both orders, so that a map and its negative swap their curves exactly
    and a constant map has the same curve in both.
    """
    values = maps.flatten(1) if order == "lerf" else -maps.flatten(1)
    if values.isnan().any():
        raise ValueError("expected maps without NaN; drop those pairs and count them")
    shuffle = ties.argsort(-1)
    sorted_places = values.gather(-1, shuffle).argsort(stable=True, dim=-1)
    places = shuffle.gather(-1, sorted_places)
    steps = torch.arange(values.shape[-1], device=maps.device).expand_as(places)
    return torch.empty_like(places).scatter_(-1, places, steps).view(maps.shape)


@dataclass(frozen=True)
class Perturbation:
    """Pictures, how patches of them are replaced, and how the result is scored.

    Attributes:
        score: the score function, called without gradients.
        images: the pictures of the pairs, preprocessed.
        replace: puts the fill in the place of removed pixels.
        batch_size: pictures per call of ``score``.
    """

    score: Score
    images: Float[Tensor, "n 3 H W"]
    replace: Replacement
    batch_size: int

    def scores(
        self,
        removed: Callable[[Int[Tensor, " m"], Int[Tensor, " m"]], Bool[Tensor, "m h w"]],
        columns: int,
    ) -> Float[Tensor, "n columns"]:
        """Score of every pair under every column's removal.

        Args:
            removed: which patches of which pair (first) are removed in which column (second).
            columns: number of columns.
        """
        n = len(self.images)
        work = torch.arange(n * columns, device=self.images.device)
        return self.each(removed, work // columns, work % columns).view(n, columns)

    @torch.no_grad()
    def each(
        self,
        removed: Callable[[Int[Tensor, " m"], Int[Tensor, " m"]], Bool[Tensor, "m h w"]],
        pair: Int[Tensor, " k"],
        column: Int[Tensor, " k"],
    ) -> Float[Tensor, " k"]:
        """Score of each pair under the removal of one column, as in `scores`.

        Scores are written into one tensor: a small tensor kept from each batch would lie between
        the large ones that are freed, and the heap would grow by a megabyte a pair.
        """
        size = (self.images.shape[-2], self.images.shape[-1])
        found = self.images.new_empty(len(pair))
        place = torch.arange(len(pair), device=pair.device)
        for rows in place.split(max(self.batch_size, _FILLED)):
            i, j = pair[rows], column[rows]
            pictures = self.replace(self.images[i], enlarge(removed(i, j), size), i)
            parts = zip(*(t.split(self.batch_size) for t in (pictures, i, rows)), strict=True)
            for batch, whose, where in parts:
                scores = self.score(batch, whose)
                found = found.to(torch.promote_types(found.dtype, scores.dtype))
                found[where] = scores
        return found

    def curve(
        self, ranks: Int[Tensor, "n h w"], counts: Sequence[int]
    ) -> Float[Tensor, "n {len(counts)}"]:
        """Scores after removing the first ``counts`` patches; equal counts are scored once."""
        steps = torch.tensor(sorted(set(counts)), device=self.images.device)
        scores = self.scores(lambda pair, k: ranks[pair] < steps[k, None, None], len(steps))
        wanted = torch.tensor(list(counts), device=self.images.device)
        return scores[:, torch.searchsorted(steps, wanted)]

    def curves(
        self, ranks: Int[Tensor, "n c h w"], inner: Sequence[int], patches: int
    ) -> Float[Tensor, "n c {len(inner)+2}"]:
        """Scores along several orders that share their first and last picture.

        Args:
            ranks: when each patch is removed in each of c orders.
            inner: counts of removed patches between none and all, rising.
            patches: their number; the last picture has lost them all.
        """
        n, orders, width = *ranks.shape[:2], len(inner)
        steps = torch.tensor(list(inner), device=self.images.device)
        between = self.scores(
            lambda pair, k: ranks[pair, k // width] < steps[k % width, None, None], orders * width
        )
        ends = self.curve(ranks[:, 0], [0, patches])[:, None].expand(-1, orders, -1)
        return torch.cat([ends[..., :1], between.view(n, orders, width), ends[..., 1:]], dim=-1)


def enlarge(patches: Bool[Tensor, "m h w"], size: tuple[int, int]) -> Bool[Tensor, "m H W"]:
    """Patches as pixels, by nearest neighbor."""
    if size[0] % patches.shape[1] == 0 and size[1] % patches.shape[2] == 0:
        rows = patches.repeat_interleave(size[0] // patches.shape[1], 1)
        return rows.repeat_interleave(size[1] // patches.shape[2], 2)
    return functional.interpolate(patches[:, None].float(), size, mode="nearest")[:, 0] > 0


def perturbation(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    grid: tuple[int, int],
    *,
    fill: AnyFill,
    generator: torch.Generator,
    batch_size: int,
) -> Perturbation:
    """An engine for pictures cut into a grid (rows, columns) of patches, random numbers drawn."""
    filler = Fill(fill) if isinstance(fill, str) else fill
    replace = filler.prepare(images, images.shape[-1] / grid[1], generator)
    return Perturbation(score, images, replace, batch_size)


def perturbation_curves(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    order: Order,
    start: Start = "picture",
    fill: AnyFill = "mean",
    fractions: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 128,
) -> Float[Tensor, "n {len(fractions)}"]:
    """Scores along one order of removal or insertion, patch by patch of the maps' own grid.

    Args:
        score: scores perturbed pictures, told which pair each belongs to.
        images: preprocessed pictures of the pairs.
        maps: saliency maps; a map in pixels perturbs pixels, one on the patch grid whole patches.
        order: most or least relevant first; equal values in a random, seeded order.
        start: ``picture``, fractions are removed; ``fill``, fractions are put back onto the fill.
        fill: what replaces a removed patch.
        fractions: shares of the patches, each rounded to whole patches (`patch_counts`).
        generator: source of the order of ties and of noise.
        batch_size: pictures per call of the score function.

    Raises:
        ValueError: for fractions outside [0, 1] or maps with NaN.
    """
    grid = (maps.shape[1], maps.shape[2])
    ties = uniform(maps.flatten(1).shape, maps, generator)
    engine = perturbation(
        score, images, grid, fill=fill, generator=generator, batch_size=batch_size
    )
    counts = patch_counts(fractions, ties.shape[1])
    if start == "fill":
        order, counts = _opposite(order), [ties.shape[1] - k for k in counts]
    return engine.curve(removal_ranks(maps, order, ties), counts)


def _opposite(order: Order) -> Order:
    return "lerf" if order == "morf" else "morf"
