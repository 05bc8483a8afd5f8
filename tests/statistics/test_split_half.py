"""Split-half reliability against simulated truth and a loop."""

import numpy as np
import pytest
from scipy import stats

from audit.statistics import Measurement, split_half_reliability


def test_halves_agree_where_conditions_differ_and_not_otherwise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(80, 10))
    same = split_half_reliability(noise + np.linspace(0, 3, 10), rng=rng)
    assert same.value > 0.95
    nothing = np.mean(
        [
            split_half_reliability(rng.normal(size=(40, 10)), rng=rng, splits=60).value
            for _ in range(60)
        ]
    )
    assert abs(nothing) < 0.25
    with pytest.raises(ValueError, match="four units"):
        split_half_reliability(np.ones((3, 5)), rng=rng)


@pytest.mark.parametrize("signal", [0.5, 1.0, 2.0])
def test_stepped_up_it_is_the_share_of_true_variance(signal):
    """Of 24 units with noise 3, means of conditions have a noise variance of 9/24."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(60):
        truth = rng.normal(scale=signal, size=60)
        table = truth + rng.normal(scale=3, size=(24, 60))
        found.append(split_half_reliability(table, ranks=False, rng=rng, splits=40).value)
    expected = signal**2 / (signal**2 + 9 / 24)
    assert np.mean(found) == pytest.approx(expected, abs=0.04)


def loop(first, second, picture, families, rng, splits):
    """Draw half of the pictures one split at a time, and correlate ranks within families."""
    found, pictures = [], np.unique(picture)
    for _ in range(splits):
        half = np.isin(picture, rng.permutation(pictures)[: len(pictures) // 2])
        a = first[0][half].sum(0) / first[1][half].sum(0)
        b = second[0][~half].sum(0) / second[1][~half].sum(0)
        x, y = np.empty(len(a)), np.empty(len(a))
        for f in set(families):
            own = np.array([g == f for g in families])
            x[own] = stats.rankdata(a[own]) - (own.sum() + 1) / 2
            y[own] = stats.rankdata(b[own]) - (own.sum() + 1) / 2
        found.append((x @ y) / np.sqrt((x @ x) * (y @ y)))
    return 2 * np.mean(found) / (1 + np.mean(found))


def test_pictures_families_ratios_and_second_fills_are_those_of_a_loop():
    rng = np.random.default_rng(2)
    picture, families = np.repeat(np.arange(20), 2), list("aaaaabbbb")
    level = np.linspace(0, 1.5, 9)
    below = rng.uniform(0.5, 1.5, (40, 9))
    tables = []
    for _ in range(2):
        noise = 0.4 * rng.normal(size=(20, 9))[picture] + 0.4 * rng.normal(size=(40, 9))
        tables.append((below * (level + noise), below))
    given = {"clusters": picture, "families": families, "rng": rng, "splits": 2000}
    found = split_half_reliability(Measurement(*tables[0]), again=Measurement(*tables[1]), **given)
    wanted = loop(*tables, picture, families, rng, 2000)
    assert found.value == pytest.approx(wanted, abs=0.02)
    assert found.n == 20
    alone = split_half_reliability(Measurement(*tables[0]), **given)
    assert alone.value == pytest.approx(
        loop(tables[0], tables[0], picture, families, rng, 2000), abs=0.02
    )


def test_a_condition_without_a_value_in_a_half_is_left_out():
    rng = np.random.default_rng(3)
    table = np.linspace(0, 5, 6) + 0.1 * rng.normal(size=(30, 6))
    table[1:, 2] = np.nan  # a single unit: never in both halves
    assert split_half_reliability(table, rng=rng).value > 0.99
    flat = split_half_reliability(np.ones((30, 6)), rng=rng)
    assert np.isnan(flat.value)
