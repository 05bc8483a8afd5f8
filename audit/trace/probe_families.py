"""Whether a family of altered states or attentions is one of probes around the model's own.

Masks, occlusions and paths from a baseline keep each place (the color of a pixel, the vector of a
token) on the straight line from a fill or a baseline to the given value; noise scatters around it.
A family made from another picture does neither. Steps of a curved path lie in few dimensions with
the given state near their end. Closing and damping keys leaves the other keys'
attention in proportion to the model's; attention of another kind does not, whatever is closed.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_NOISE = 3.0
_ROUNDING = 1e-3
_SHARE = 0.9
FEWEST = 3
_SAME_SPREAD = 1.25
_CLOSED = 1e-9
_SAME_ATTENTION = 0.02
_MANY, _ATTENTION_NOISE, _MOST_NOISE = 8, 1.5, 0.1
_MOSTLY_OPEN = 0.7
_FLAT, _PATH_AXES = 0.99, 3


def surrounds(
    family: Float[Tensor, "members places channels"],
    given: Float[Tensor, "places channels"],
    pooled: int | None = None,
) -> bool:
    """Whether the given values lie on the lines, or in the noise, of a family.

    Args:
        family: altered states, at least three.
        given: the state that they should surround.
        pooled: the place of the token that is read out, if any, which must lie within reach.

    Returns:
        True where at least nine places of ten agree and the pooled one is within reach, or where
        the family is a curved path that leads there.
    """
    points, target = family.double(), given.double()
    if 1 < len(family) <= FEWEST and _between_few(points, target):
        return True
    if len(family) < FEWEST:
        return False
    return _around_each_place(points, target, pooled) or _on_the_path(
        points.flatten(1), target.flatten()
    )


def _between_few(points: Tensor, target: Tensor) -> bool:
    """Whether two or three members scatter around the target, as draws of the same noise do.

    Their mean is then as far from it as their scatter foretells, and has nothing to do with how
    they differ from it.
    """
    center = points.mean(0)
    off, rest = (center - target).flatten(), (points - center).flatten(1)
    sizes = float(off.norm()) * len(points) ** 0.5, float(rest.norm()) / (len(points) - 1) ** 0.5
    if min(sizes) <= 0:
        return False
    alike = (rest @ off).abs() / (rest.norm(dim=1) * off.norm())
    spread = len(off) ** -0.5
    scattered = bool((alike <= _NOISE * spread).all())
    return max(sizes) <= _SAME_SPREAD * min(sizes) and scattered


def _around_each_place(points: Tensor, target: Tensor, pooled: int | None) -> bool:
    center = points.mean(0)
    spread = (points - center).movedim(0, 1)
    aim = target - center
    values, axes = _principal_axes(spread)
    off = aim - (aim * axes).sum(-1, keepdim=True) * axes
    noise = ((spread.square().sum((1, 2)) - values).clamp(min=0) / (len(points) - 1)).sqrt()
    scale = target.std() + center.std()
    agrees = off.norm(dim=-1) <= _NOISE * noise + _ROUNDING * scale
    if (
        pooled is not None
        and not agrees[pooled]
        and not _in_reach(points[:, pooled], target[pooled])
    ):
        return False
    return bool(agrees.double().mean() >= _SHARE)


def _in_reach(points: Float[Tensor, "members n"], target: Float[Tensor, " n"]) -> bool:
    """Whether the target is nearer to a member than a member is to the middle of all."""
    nearest = (points - target).norm(dim=-1).min()
    return bool(nearest <= (points - points.mean(0)).norm(dim=-1).max())


def attends_around(
    executed: Float[Tensor, "members heads tokens"], model: Float[Tensor, "members heads tokens"]
) -> bool:
    """Whether a family of altered attentions has the model's at its heart.

    In most members a key is untouched: then its attention is the model's but for a factor common
    to the row. Or the members of each head lie on a line through the model's attention, as on a
    path to uniform attention.

    Args:
        executed: the pooled token's attention in each member, at least three.
        model: the model's on the same inputs.

    Returns:
        True where what is common to the members is the model's attention, to within 0.02 in total
        variation, or to within what the scatter of at least eight members explains.
    """
    if len(executed) < FEWEST:
        return False
    one, other = executed.double(), model.double()
    open_ = (one > _CLOSED) & (other > _CLOSED)
    ratio = torch.where(open_, one.clamp(min=_CLOSED) / other.clamp(min=_CLOSED), torch.nan).log()
    ratio = ratio - ratio.nanmedian(-1, keepdim=True).values
    common = ratio.nanmedian(0).values
    always_closed = len(executed) >= _MANY and float(open_.double().mean()) > _MOSTLY_OPEN
    own = other.mean(0) if always_closed else torch.where(common.isnan(), 0, other.mean(0))
    own = own / own.sum(-1, keepdim=True).clamp(min=_CLOSED)
    heart = torch.where(common.isnan(), 0, own * common.nan_to_num().exp())
    heart = heart / heart.sum(-1, keepdim=True).clamp(min=_CLOSED)
    distance = (heart - own).abs().sum(-1).mean() / 2
    error = (ratio - common).abs().nanmedian(0).values.nan_to_num() / len(executed) ** 0.5
    noise = float((own * error).sum(-1).mean()) if len(executed) >= _MANY else 0.0
    if float(distance) <= max(_SAME_ATTENTION, min(_ATTENTION_NOISE * noise, _MOST_NOISE)):
        return True
    return _on_a_line(one.movedim(0, 1), other.mean(0))


def _on_a_line(
    members: Float[Tensor, "heads members tokens"], given: Float[Tensor, "heads tokens"]
) -> bool:
    """Whether each head's members lie on one line and the given attention on it as well."""
    center = members.mean(1)
    spread = members - center[:, None]
    values, axes = _principal_axes(spread)
    rest = (spread.square().sum((1, 2)) - values).clamp(min=0)
    aim = given - center
    off = aim - (aim * axes).sum(-1, keepdim=True) * axes
    straight = rest <= _ROUNDING * values
    return bool((straight & (off.norm(dim=-1) <= _SAME_ATTENTION * given.norm(dim=-1))).all())


def _on_the_path(points: Float[Tensor, "members n"], target: Float[Tensor, " n"]) -> bool:
    """Whether members lie in few dimensions, and the target as near to these as they foretell.

    The member nearest to the target is left out, and its distance to the dimensions of the others
    tells how well a path can be followed beyond its last step.
    """
    axes = min(_PATH_AXES, len(points) // 2)
    nearest = int((points - target).norm(dim=-1).argmin())
    others = torch.cat([points[:nearest], points[nearest + 1 :]])
    if len(others) <= axes + 1:
        return False
    center = others.mean(0)
    values, vectors = torch.linalg.eigh((others - center) @ (others - center).T)
    if float(values[-axes:].sum()) < _FLAT * float(values.sum()) or float(values[-1]) <= 0:
        return False
    kept = values > values[-1] * torch.finfo(values.dtype).eps
    kept[:-axes] = False
    basis = (others - center).T @ vectors[:, kept] / values[kept].sqrt()

    def off(point: Tensor) -> float:
        return float((point - center - basis @ (basis.T @ (point - center))).norm())

    scale = float((target - center).norm())
    return off(target) <= _NOISE * off(points[nearest]) + _ROUNDING * scale


def rows_of(members: Float[Tensor, "members fewer channels"], given: Tensor) -> bool:
    """Whether members that lack tokens hold none that is not the given state's, (t, d)."""
    distance = torch.cdist(members.double(), given.double().expand(len(members), -1, -1))
    scale = given.double().std() * given.shape[-1] ** 0.5
    return bool((distance.amin(-1) <= _ROUNDING * scale).double().mean() >= _SHARE)


def _principal_axes(
    spread: Float[Tensor, "places members channels"],
) -> tuple[Float[Tensor, " places"], Float[Tensor, "places channels"]]:
    """Largest eigenvalue of each place's scatter, and its axis."""
    if spread.shape[2] <= spread.shape[1]:
        values, vectors = torch.linalg.eigh(spread.mT @ spread)
        return values[:, -1].clamp(min=0), vectors[..., -1]
    values, vectors = torch.linalg.eigh(spread @ spread.mT)
    axes = (vectors[..., -1:].mT @ spread)[:, 0]
    norms = axes.norm(dim=-1, keepdim=True)
    return values[:, -1].clamp(min=0), torch.where(norms > 0, axes / norms.clamp(min=1e-300), axes)


def covers(family: Tensor, given: Tensor) -> bool:
    """Whether every token id of the given text is in its place in some text of a family."""
    return len(family) >= FEWEST and bool((family == given).any(0).all())
