"""Each constant of the trace, four times or a quarter as large, decides something otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest import mock

import pytest

from tests.constants.collecting import numeric_literals, of_the_trace
from tests.constants.row import Row
from tests.constants.trace import HARMLESS, ONE_SIDED, TABLE

FACTORS = (4, 0.25)


@contextmanager
def _changed(row: Row, factor: float) -> Iterator[None]:
    """The constant is so many times as large; a count stays one."""
    stem, _, name = row.name.partition(":")
    module = import_module(f"audit.trace.{stem}")
    own = name if hasattr(module, name) else f"_{name}"
    value = row.value * factor
    value = max(round(value), 1) if isinstance(row.value, int) else value
    with mock.patch.object(module, own, value):
        yield


def _decided(row: Row) -> tuple[str, str]:
    return row.decide(row.below), row.decide(row.above)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.name} {row.decide.__name__}")
def test_a_constant_decides_and_so_does_four_times_and_a_quarter_of_it(row: Row):
    assert row.says != row.then
    expected = row.says, row.then
    assert _decided(row) == expected
    for factor in FACTORS:
        with _changed(row, factor):
            same = _decided(row) == expected
        assert same is (factor > 1 and row.name in ONE_SIDED), factor


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.name} {row.decide.__name__}")
def test_a_constant_of_the_trace_lies_between_its_cases(row: Row):
    assert of_the_trace()[row.name] == row.value
    assert row.below <= row.value <= row.above
    assert row.below < row.above


def test_every_number_of_the_trace_is_in_the_table_or_decides_no_verdict():
    found, in_table = set(of_the_trace()), {row.name for row in TABLE}
    unknown = found - in_table - set(HARMLESS)
    assert not unknown, (
        f"expected a row of tests/constants/trace.py, or a reason in its HARMLESS, for {unknown}"
    )
    assert in_table | set(HARMLESS) == found
    assert not in_table & set(HARMLESS)
    assert set(ONE_SIDED) <= in_table


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("x = a > 0.5", [0.5]),
        ("def f(a=1e-6): return a", [1e-6]),
        ("def f(a): return a.clamp(min=1e-3)", [1e-3]),
        ("x = a > 7", [7]),
        ("x = len(a) >= 8", [8]),
        ("x = a > -7 * b", [7]),
        ("x = len(a) == 3 and a.ndim == 4 and b > 1", []),
        ("x = a > 3", [3]),
        ("x = a[7] > b[..., :5] and t.sum(dim=-3) > 0", []),
        ("x = a ** 0.5 + 0.0", []),
        ("x = a + 7", []),
        ("A = 0.5", []),
        ("A, B = 0.5, 7 > 5", []),
    ],
)
def test_what_counts_as_a_numeric_literal(source, numbers):
    assert list(numeric_literals(source)) == numbers
