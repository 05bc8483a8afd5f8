"""Cases for the constants by which families of probes are told: each at a known distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audit.trace.probe_families import attends_around, covers, rows_of, surrounds

UP, SIDE = torch.eye(3, dtype=torch.float64)[:2]


def _around(family: Tensor, given: Tensor) -> str:
    return "around" if surrounds(family, given) else "elsewhere"


def _attends(executed: Tensor, model: Tensor) -> str:
    found = attends_around(executed, model.expand_as(executed))
    return "around" if found else "elsewhere"


def scatters_off_the_given(times: float) -> str:
    """A state so many times as far off the line of its family as these scatter around it."""
    cross = torch.stack([2 * UP, -2 * UP, SIDE, -SIDE])[:, None].expand(-1, 20, -1)
    noise = math.sqrt(2 / 3)
    return _around(cross, (times * noise * SIDE).expand(20, -1))


def two_alike(times: float) -> str:
    """Two members whose differences are so many times as alike as those of two draws are."""
    places = 2500
    half, other = torch.eye(places, dtype=torch.float64)[:2]
    alike = times / math.sqrt(places)
    center = alike * half + math.sqrt(1 - alike**2) * other
    return _around(torch.stack([center + half, center - half])[:, None], torch.zeros(1, places))


def sizes_of_two(ratio: float) -> str:
    """Two members so many times as far from the given state as from their mean."""
    half, other = torch.eye(100, dtype=torch.float64)[:2]
    two = torch.stack([ratio * other + half, ratio * other - half])
    return _around(two[:, None], torch.zeros(1, 100))


def off_the_line(share: float) -> str:
    """A state so far off the line of its family, as a share of its scale and the family's."""
    places = torch.tensor([[0, 0, 1], [0, 0, -1]] * 10, dtype=torch.float64)
    line = places + torch.stack([-UP, 0 * UP, UP])[:, None]
    return _around(line, places + share * 2 * float(places.std()) * SIDE)


def places_that_agree(share: float) -> str:
    """A family on lines, that lead through the given state in such a share of its places."""
    places = 1000
    line = torch.stack([-UP, 0 * UP, UP])[:, None].expand(-1, places, -1)
    target = torch.zeros(places, 3, dtype=torch.float64)
    target[round(share * places) :] = SIDE
    return _around(line, target)


def rows_that_agree(share: float) -> str:
    """Members that lack tokens, of which such a share are tokens of the given state."""
    given = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    members = given[:40].repeat(25, 1)[None].clone()
    members[0, round(share * 1000) :] += 1
    return "its rows" if rows_of(members, given) else "others"


def rows_off_by(share: float) -> str:
    """Members that lack tokens, whose rows are so far from the given ones, of their scale."""
    given = torch.randn(50, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    away = share * float(given.std()) * math.sqrt(8) * torch.eye(8, dtype=torch.float64)[0]
    return "its rows" if rows_of((given[:40] + away)[None], given) else "others"


def texts(count: int) -> str:
    """So many texts, each the given one."""
    given = torch.arange(1, 7)
    return "a family" if covers(given.expand(count, -1), given) else "none"


def attentions(count: int) -> str:
    """So many attentions, each the model's."""
    model = torch.full((1, 4), 0.25)
    return _attends(model.expand(count, 1, -1), model)


def _shapes(members: int, axes: int) -> Tensor:
    """Orthonormal columns that sum to zero."""
    rows = torch.arange(members, dtype=torch.float64)[:, None]
    waves = torch.cos(math.pi * (rows + 0.5) * torch.arange(1, axes + 1) / members)
    return waves / waves.norm(dim=0)


def _path(others: Tensor, nearest: Tensor, target: Tensor) -> str:
    return _around(torch.cat([others, nearest[None]])[:, None], target[None])


def follows_a_path(times: float) -> str:
    """A state so many times as far from the dimensions of a path as its last step is."""
    axes = torch.eye(8, dtype=torch.float64)
    others = _shapes(7, 3) @ axes[:3]
    nearest, target = 3 * axes[0] + axes[7], 3 * axes[0] + 3 * axes[1] + times * axes[7]
    return _path(others, nearest, target)


def off_a_straight_path(share: float) -> str:
    """A state so far from the dimensions of a path that is followed exactly, of its distance."""
    axes = torch.eye(8, dtype=torch.float64)
    others = _shapes(7, 3) @ axes[:3]
    nearest, target = 3 * axes[0], 3 * axes[0] + 3 * axes[1]
    return _path(others, nearest, target + share * float(target.norm()) * axes[7])


def flatness(share: float) -> str:
    """A path whose steps lie in three dimensions to such a share of their variance."""
    axes = torch.eye(8, dtype=torch.float64)
    variances = torch.tensor([0.5, 0.3, share - 0.8, 1 - share], dtype=torch.float64)
    others = _shapes(7, 4) * variances.sqrt() @ axes[:4]
    return _path(others, 3 * axes[0], 3 * axes[0] + 3 * axes[1])


def dimensions(count: int) -> str:
    """A path whose steps lie in so many dimensions."""
    axes = torch.eye(8, dtype=torch.float64)
    others = _shapes(10, count) @ axes[:count]
    return _path(others, 3 * axes[0], 3 * axes[0] + 3 * axes[1])


def closed_key(attention: float) -> str:
    """A key that the model attends to, and every member by no more than this."""
    model = torch.tensor([[0.2, 0.3, 0.3, 0.2]], dtype=torch.float64)
    member = model.clone()
    member[0, 0] = attention
    return _attends(member.expand(3, 1, -1), model)


def variation(distance: float) -> str:
    """Members that differ from the model's attention by such a total variation."""
    model = torch.full((1, 4), 0.25, dtype=torch.float64)
    member = model + distance * torch.tensor([1.0, -1, 0, 0])
    return _attends(member.expand(3, 1, -1), model)


def _on_a_line(bend: float, off: float) -> str:
    """Members on a line away from the model's attention.

    Args:
        bend: variance across the line, of that along it.
        off: the model's distance to the line, of the length of its attention.
    """
    model = torch.full((1, 4), 0.25, dtype=torch.float64)
    along = torch.tensor([1.0, -1, 1, -1]) / 2
    across = torch.tensor([1.0, 1, -1, -1]) / 2
    other = torch.tensor([1.0, -1, -1, 1]) / 2
    step = 0.1
    width = math.sqrt(bend * 2 * step**2 / 6)
    members = [
        model + k * step * along + width * w * across + off * float(model.norm()) * other
        for k, w in ((1, 1), (2, -2), (3, 1))
    ]
    return _attends(torch.stack(members), model)


def bend_of_a_line(share: float) -> str:
    """Members on a line through the model's attention that bends by such a share."""
    return _on_a_line(share, 0.0)


def attention_off_the_line(share: float) -> str:
    """Members on a line that passes the model's attention at such a distance."""
    return _on_a_line(0.0, share)


def _scattered(distance: float, noise: float, members: int = 9) -> str:
    """Members around an attention at a distance, that scatter by so much.

    Uniform attention over five keys; keys and their opposites gain and lose alike.

    Args:
        distance: total variation.
        noise: what it is expected to be by the scatter of the members.
        members: how many, an odd number.
    """
    low, high = 0.0, 5.0
    for _ in range(60):
        shift = (low + high) / 2
        heart = torch.tensor([shift, shift, 0, -shift, -shift], dtype=torch.float64).softmax(0)
        far = float((heart - 0.2).abs().sum() / 2) > distance
        low, high = (low, shift) if far else (shift, high)
    steps = torch.arange(members, dtype=torch.float64) - members // 2
    usual = float(steps.abs().median()) / math.sqrt(members) * 4 / 5
    one = low + noise / usual * steps
    two = low + noise / usual * steps[torch.arange(members) * 2 % members]
    logits = torch.stack([one, two, 0 * one, -two, -one], dim=-1)
    return _attends(logits.softmax(-1)[:, None], torch.full((1, 5), 0.2, dtype=torch.float64))


def distance_in_noise(times: float) -> str:
    """Members around an attention so many times as far as their scatter explains."""
    return _scattered(0.05, 0.05 / times)


def distance_in_great_noise(distance: float) -> str:
    """Members that scatter widely, around an attention at such a distance."""
    return _scattered(distance, 0.3)


def members_that_scatter(count: int) -> str:
    """So many members around an attention as far as their scatter may explain."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 1, 5, generator=generator, dtype=torch.float64)
    model = torch.full((1, 5), 0.2, dtype=torch.float64)
    return _attends((0.2 * noise).softmax(-1), model)


def open_keys(share: float) -> str:
    """Members with one key of ten closed throughout, and such a share open of all."""
    members, keys = 10, 100
    mask = torch.ones(members, keys, dtype=torch.bool)
    mask[:, :10] = False
    for number in range(round((0.9 - share) * members * keys)):
        mask[(number % 90 + 3 * (number // 90)) % members, 10 + number % 90] = False
    model = torch.full((1, keys), 1 / keys, dtype=torch.float64)
    return _attends((mask / mask.sum(-1, keepdim=True).double())[:, None], model)
