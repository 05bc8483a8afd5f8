import pytest
import torch

from audit.trace.family import covers, surrounds

generator = torch.Generator().manual_seed(0)
PICTURE = torch.randn(400, 3, generator=generator)
OTHER = torch.randn(400, 3, generator=generator)


def _noise(scale):
    return scale * torch.randn(12, 400, 3, generator=generator)


def _paths(end, start):
    alphas = (torch.arange(12) + 0.5) / 12
    return start + alphas[:, None, None] * (end - start)


def _masked(end, fill):
    masks = torch.rand(12, 400, 1, generator=generator).round()
    return masks * end + (1 - masks) * fill


FAMILIES = {
    "path from black": lambda end: _paths(end, torch.zeros(3)),
    "path from another picture": lambda end: _paths(end, OTHER),
    "masks": lambda end: _masked(end, torch.zeros(3)),
    "masks over another picture": lambda end: _masked(end, OTHER),
    "weak noise": lambda end: end + _noise(0.1),
    "noise and path": lambda end: _paths(end, torch.zeros(3)) + _noise(0.02),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_surround_their_own_picture_and_no_other(name):
    family = FAMILIES[name](PICTURE)
    assert surrounds(family, PICTURE)
    assert not surrounds(family, PICTURE.roll(7, 0))


def test_a_family_around_a_blurred_picture_does_not_surround_the_given_one():
    blurred = (PICTURE + PICTURE.roll(1, 0) + PICTURE.roll(-1, 0)) / 3
    for make in FAMILIES.values():
        assert not surrounds(make(blurred), PICTURE)


def test_two_pictures_are_no_family():
    assert not surrounds(PICTURE.expand(2, -1, -1), PICTURE)


def test_texts_cover_the_given_one_where_each_token_appears_in_its_place():
    given = torch.arange(1, 7)
    without_one = given * (1 - torch.eye(6, dtype=torch.long))
    assert covers(without_one, given)
    assert not covers(without_one, given + 1)
    assert not covers(without_one[:2], given)
