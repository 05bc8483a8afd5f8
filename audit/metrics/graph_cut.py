"""Segmentation by a graph cut over colors, from places that surely are and surely are not of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from sklearn.mixture import GaussianMixture

COMPONENTS: Final = 5
SMOOTHNESS: Final = 4.0
_UNIT: Final = 1_000  # capacities are whole numbers
_SURE: Final = 1_000_000
Box = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two lie outside."""


def seeds(
    saliency: Float[np.ndarray, "h w"], *, inside: float = 0.95, outside: float = 0.3
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Places above and below two quantiles of a map: surely of the object, and surely not.

    Source: Simonyan, Vedaldi and Zisserman (2013), section 3.2.
    """
    above, below = np.quantile(saliency, inside), np.quantile(saliency, outside)
    return saliency >= max(above, below), saliency <= below


def graph_cut(
    picture: Float[np.ndarray, "h w 3"],
    inside: Bool[np.ndarray, "h w"],
    outside: Bool[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """The foreground of least energy, by a minimal cut.

    A place pays the negative logarithm of its color's density under a mixture of Gaussians fitted
    to the seeds of its side; two neighbors on different sides pay the more the nearer their colors.
    Seeds stay on their side.

    Args:
        picture: colors in [0, 1].
        inside: seeds of the foreground.
        outside: seeds of the background, which count where both are given.

    Raises:
        ValueError: no seed on one side.

    Source:
        Boykov and Jolly, "Interactive Graph Cuts" (ICCV 2001), with color mixtures as in Simonyan,
        Vedaldi and Zisserman (2013).
    """
    inside = inside & ~outside
    if not inside.any() or not outside.any():
        raise ValueError(
            "expected places that are surely of the object and surely not, found none on one side; "
            "an even map tells neither"
        )
    costs = [_cost(picture, seed) for seed in (inside, outside)]
    own, other = _whole(costs)
    return minimal_cut(own, other, edges(picture), inside, outside)


def edges(picture: Float[np.ndarray, "h w 3"]) -> list[Int[np.ndarray, "h w"]]:
    """What neighbors on different sides pay: to the right, and below, 0 at the border.

    It is the smoothness times exp(-d^2 / (2 m)), d the distance of their colors and m the mean of
    d^2 over the picture.
    """
    steps = [((np.diff(picture, axis=axis)) ** 2).sum(-1) for axis in (1, 0)]
    mean = float(np.concatenate([step.ravel() for step in steps]).mean()) or 1.0
    found = []
    for axis, step in zip((1, 0), steps, strict=True):
        cost = SMOOTHNESS * np.exp(-step / (2 * mean))
        pad = [(0, 0), (0, 1)] if axis == 1 else [(0, 1), (0, 0)]
        found.append(np.pad(np.rint(cost * _UNIT).astype(np.int64), pad))
    return found


def minimal_cut(
    cost_inside: Int[np.ndarray, "h w"],
    cost_outside: Int[np.ndarray, "h w"],
    neighbors: Sequence[Int[np.ndarray, "h w"]],
    inside: Bool[np.ndarray, "h w"],
    outside: Bool[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """The sides of all places whose costs add up to the least.

    Args:
        cost_inside: of each place on the inner side, at least 0.
        cost_outside: likewise on the outer side.
        neighbors: see `edges`.
        inside: places that stay inside.
        outside: places that stay outside.
    """
    h, w = inside.shape
    place, source, sink = np.arange(h * w).reshape(h, w), h * w, h * w + 1
    to_source = np.where(inside, _SURE, np.where(outside, 0, cost_outside)).ravel()
    to_sink = np.where(outside, _SURE, np.where(inside, 0, cost_inside)).ravel()
    right, below = neighbors[0][:, :-1].ravel(), neighbors[1][:-1].ravel()
    pairs = [
        (np.full(h * w, source), place.ravel(), to_source),
        (place.ravel(), np.full(h * w, sink), to_sink),
        (place[:, :-1].ravel(), place[:, 1:].ravel(), right),
        (place[:, 1:].ravel(), place[:, :-1].ravel(), right),
        (place[:-1].ravel(), place[1:].ravel(), below),
        (place[1:].ravel(), place[:-1].ravel(), below),
    ]
    start, end, capacity = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    shape = (h * w + 2, h * w + 2)
    graph = coo_array((capacity.astype(np.int32), (start, end)), shape=shape).tocsr()
    left = graph - maximum_flow(graph, source, sink).flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    found = np.zeros(h * w + 2, dtype=bool)
    found[reached] = True
    return found[: h * w].reshape(h, w)


def largest_component(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest part of a mask that hangs together over sides; the mask where it is empty."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(labels == 1 + int(sizes.argmax()))


def box_of(mask: Bool[np.ndarray, "h w"]) -> Box | None:
    """The smallest box around a mask, None where it is empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlap(one: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union; 0 where both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


def filled_box(box: Box, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The places within a box."""
    found = np.zeros(shape, dtype=bool)
    left, top, right, bottom = box
    found[top:bottom, left:right] = True
    return found


def _cost(
    picture: Float[np.ndarray, "h w 3"], seed: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Negative log density of every place's color under a mixture fitted to the seeds' colors."""
    colors = picture[seed]
    count = min(COMPONENTS, len(np.unique(colors, axis=0)))
    mixture = GaussianMixture(count, reg_covar=1e-4, random_state=0).fit(colors)
    return -np.asarray(mixture.score_samples(picture.reshape(-1, 3))).reshape(seed.shape)


def _whole(costs: Sequence[Float[np.ndarray, "h w"]]) -> list[Int[np.ndarray, "h w"]]:
    """Costs as whole numbers of at least 0: what both sides pay alike decides nothing."""
    least = np.minimum(*costs)
    return [
        np.rint(np.minimum(cost - least, _SURE / _UNIT / 2) * _UNIT).astype(np.int64)
        for cost in costs
    ]
