"""Fingerprints that recognize a tensor's values whatever its layout.

A recomputed attention map may come as (b, h, s, t), (b·h, s, t) or (s, b, …): the moments of a
row's values are the same for every arrangement, so that a match needs no guess about the layout.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.models.unwrapped_values import plain

Prints = Float[np.ndarray, "_ 9"]
_COUNT, _ORDER = 5, 6
_SCATTERED, _SHARED = 2.0, 0.05
_CACHED = 250_000  # numbers that a processor's cache holds a few times
_RUN = 64
_TINY = 1e-30
_MOST_WEIGHTS = 64
_KNOWN_WEIGHTS: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}


def fingerprint(rows: Float[Tensor, "rows n"]) -> Float[np.ndarray, "rows 9"]:
    """Moments of every row: sums of x, |x|, x², x³ and |x|³, the count, a weighted sum, x⁴, x⁶.

    All but the weighted sum are the same for every order of the values. The last two only tell how
    far rounding may move the others.
    """
    x = plain(rows)
    x = x if x.dtype == torch.float64 else x.float()
    size = max(1, _CACHED // max(1, x.shape[-1])) if x.device.type == "cpu" else max(1, len(x))
    return torch.cat([_moments(part) for part in x.split(size)]).cpu().numpy()


def _moments(x: Float[Tensor, "rows n"]) -> Float[Tensor, "rows 9"]:
    width = _CACHED // _RUN * _RUN if x.device.type == "cpu" else max(1, x.shape[-1])
    parts = zip(x.split(width, -1), _weights(x).split(width), strict=True)
    first, *others = [_total(_powers(*part)) for part in parts]
    sums = sum(others, first)
    count = torch.full_like(sums[:1], x.shape[-1])
    return torch.cat([sums[:5], count, sums[5:]]).T


def _powers(
    x: Float[Tensor, "rows n"], weights: Float[Tensor, " n"]
) -> Float[Tensor, "moments rows n"]:
    """What is summed: x, |x|, x², x³, |x|³, weighted x, x⁴ and x⁶, written where they are read."""
    found = x.new_empty(8, *x.shape)
    plain_, magnitude, square, cube, cube_magnitude, weighted, fourth, sixth = found
    plain_.copy_(x)
    torch.abs(x, out=magnitude)
    torch.mul(x, x, out=square)
    torch.mul(square, x, out=cube)
    torch.mul(square, magnitude, out=cube_magnitude)
    torch.mul(x, weights, out=weighted)
    torch.mul(square, square, out=fourth)
    torch.mul(cube, cube, out=sixth)
    return found


def _total(values: Float[Tensor, "moments rows n"]) -> Float[Tensor, "moments rows"]:
    """Sums in double precision; of runs of 64 values in their own, which is fast.

    Off by less than 1e-6 of the root of the sum of squares, well within what rounding explains.
    """
    whole = values.shape[-1] // _RUN * _RUN
    if whole < 4 * _RUN or values.dtype == torch.float64:
        return values.sum(-1, dtype=torch.float64)
    runs = values[..., :whole].unflatten(-1, (-1, _RUN)).sum(-1)
    total: Tensor = runs.sum(-1, dtype=torch.float64)
    return total + values[..., whole:].sum(-1, dtype=torch.float64)


def _weights(x: Float[Tensor, "rows n"]) -> Float[Tensor, " n"]:
    """Fixed weights in [-1, 1] without a pattern that a shift or a transposition would keep."""
    kind = x.shape[-1], x.dtype, x.device
    known = _KNOWN_WEIGHTS.get(kind)
    if known is None:
        places = torch.ones_like(x[0], dtype=torch.float64).cumsum(0)
        known = (2 * torch.frac(places * places * 0.6180339887498949) - 1).to(x.dtype)
        _KNOWN_WEIGHTS[kind] = known
        if len(_KNOWN_WEIGHTS) > _MOST_WEIGHTS:
            del _KNOWN_WEIGHTS[next(iter(_KNOWN_WEIGHTS))]
    return known


def matches(
    one: Float[np.ndarray, "m 9"],
    many: Float[np.ndarray, "n 9"],
    tolerance: float | Float[np.ndarray, " n"],
    ordered: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, "m n"]:
    """Which rows of two sets of fingerprints are the same values.

    Args:
        one: (m, 9).
        many: (n, 9).
        tolerance: of a value, relative to it; one, or one for each of the many. Rounding moves
            values one way and the other, so that sums move by its root of squares; one twentieth of
            it may be common to all values.
        ordered: (n,), true where the order of the values must agree as well; default nowhere.

    Returns:
        (m, n), true where all moments agree.
    """
    a, b = one[:, None, :], many[None, :, :]
    slack = np.broadcast_to(tolerance, len(many))[:, None] * _slack(b) + _TINY
    with np.errstate(invalid="ignore"):
        close = np.abs(a[..., :5] - b[..., :5]) <= slack
    found = close.all(-1) & (a[..., _COUNT] == b[..., _COUNT])
    if ordered is not None:
        placed = np.abs(a[..., _ORDER] - b[..., _ORDER]) <= slack[..., 0]
        found &= placed | ~ordered[None, :]
    return np.asarray(found)


def needed_tolerance(
    one: Float[np.ndarray, "n 9"], other: Float[np.ndarray, "n 9"]
) -> Float[np.ndarray, " n"]:
    """The least tolerance at which `matches` takes row after row of both for the same values."""
    slack = _slack(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        moments = (np.abs(one[:, :5] - other[:, :5]) / slack).max(-1)
        order = np.abs(one[:, _ORDER] - other[:, _ORDER]) / slack[:, 0]
    return np.asarray(np.maximum(moments, order))


def _slack(prints: np.ndarray) -> np.ndarray:
    """How far a relative error of one in each value moves each of the five sums."""
    square, cube, count = prints[..., 2], prints[..., 4], prints[..., _COUNT]
    fourth, sixth = prints[..., 7], prints[..., 8]
    first, third = np.sqrt(square), 3 * np.sqrt(sixth)
    scattered = np.stack([first, first, 2 * np.sqrt(fourth), third, third], axis=-1)
    first, third = np.sqrt(count * square), 3 * cube
    shared = np.stack([first, first, 2 * square, third, third], axis=-1)
    return np.asarray(_SCATTERED * scattered + _SHARED * shared)


def row_views(x: Tensor, heads: frozenset[int]) -> list[Float[Tensor, "rows n"]]:
    """Ways to read a tensor as rows, one per picture or text.

    Args:
        x: any tensor.
        heads: numbers of heads that may be merged into the first axis.
    """
    x = plain(x)
    views = [x.reshape(1, -1)]
    if x.ndim >= 2 and x.shape[0] > 1:
        views.append(x.flatten(1))
        views += [
            x.reshape(x.shape[0] // h, -1) for h in sorted(heads) if x.shape[0] % h == 0 and h > 1
        ]
    if x.ndim >= 3 and x.shape[1] > 1:
        views.append(x.movedim(1, 0).flatten(1))
    return views
