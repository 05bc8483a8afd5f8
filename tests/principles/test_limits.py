"""Limits of checks: what makes sense, by default and by name."""

import dataclasses
from dataclasses import dataclass

import pytest

from principles.catalogue import all_checks
from principles.limits import (
    CheckLimits,
    Correlation,
    Count,
    ErrorRate,
    LimitError,
    NotNegative,
    Number,
    Share,
    ranges_of,
)


@dataclass(frozen=True)
class Limits(CheckLimits):
    share: Share = 0.2
    correlation: Correlation = -0.5
    count: Count = 3
    rate: ErrorRate = 0.05
    factor: NotNegative = 10.0
    gain: Number = 0.0
    plain: float = 1.0
    word: str = "mean"


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("share", [0.0, 1.0], [-1e-9, 1.001]),
        ("correlation", [-1.0, 1.0], [-1.01, 6.0]),
        ("count", [1, 7], [0, -1, 2.5]),
        ("rate", [1e-12, 0.5], [0.0, 0.51]),
        ("factor", [0.0, 1e9], [-0.1]),
        ("gain", [-5.0, 5.0], [float("inf"), float("nan")]),
        ("plain", [-5.0], [float("-inf")]),
    ],
)
def test_either_side_of_every_range(name, inside, outside):
    for value in inside:
        assert getattr(Limits(**{name: value}), name) == value
    for value in outside:
        with pytest.raises(LimitError, match=f"limit {name}: expected .*, got {value:g}"):
            Limits(**{name: value})


def test_settings_by_name_keep_whole_numbers_whole_and_leave_out_the_unknown():
    found = Limits.of({"count": 4.0, "share": 1, "of another check": 9.0})
    assert found == Limits(count=4, share=1)
    assert isinstance(found.values()["count"], int)
    assert list(found.values()) == [f.name for f in dataclasses.fields(Limits)]


def test_limits_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().share = 0.5


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_every_number_of_a_check_has_a_range_in_words(check):
    limits = check.limits()
    ranges = ranges_of(type(limits))
    assert set(ranges) == set(check.thresholds) == set(limits.values())
    assert all(wanted.words for wanted in ranges.values())
