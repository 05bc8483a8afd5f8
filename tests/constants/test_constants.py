"""On either side of every constant that decides a verdict, something else is decided."""

from __future__ import annotations

import pytest

from tests.constants.collecting import collected, numeric_constants
from tests.constants.row import Row
from tests.constants.table import HARMLESS, TABLE


@pytest.fixture(scope="module")
def found():
    return collected()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.name} {row.says} {row.then}")
def test_a_case_on_either_side(row: Row):
    assert row.says != row.then
    assert (row.decide(row.below), row.decide(row.above)) == (row.says, row.then)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_constant_lies_between_its_cases(row: Row, found):
    if not row.name.startswith("literal: "):
        values = found[row.constant]
        if row.constant != row.name:
            (mapping,) = values
            values = [v for k, v in mapping.items() if f"{row.constant}[{k}]" == row.name]
        assert values == [row.value]
    ends = [case[0] if isinstance(case, tuple) else case for case in (row.below, row.above)]
    if not any(isinstance(end, str) for end in ends):
        assert ends[0] <= row.value <= ends[1]
        assert ends[0] < ends[1]


def test_every_constant_is_in_the_table_or_decides_no_verdict(found):
    in_table = {row.constant for row in TABLE}
    unknown = set(found) - in_table - set(HARMLESS)
    assert not unknown, (
        f"expected a row of tests/constants/table.py, or a reason in its HARMLESS, for {unknown}"
    )


def test_no_constant_is_listed_that_is_no_more_or_in_both(found):
    in_table = {row.constant for row in TABLE if not row.name.startswith("literal: ")}
    assert in_table <= set(found)
    assert set(HARMLESS) <= set(found)
    assert not in_table & set(HARMLESS)
    assert all(HARMLESS.values())


def test_every_entry_of_a_mapping_has_a_row(found):
    for constant in {row.constant for row in TABLE if row.constant != row.name}:
        (mapping,) = found[constant]
        rows = {row.name for row in TABLE if row.constant == constant}
        assert rows <= {f"{constant}[{key}]" for key in mapping}
        if constant not in {"audit.gate:BADNESS", "audit.gate:ACCEPTED"}:
            assert len(rows) == len(mapping)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("A = 1", ["A"]),
        ("_A, B = 1, {2: 'x'}", ["_A", "B"]),
        ("A: float = 1e-3", ["A"]),
        ("A = 'text'", []),
        ("A = True", []),
        ("a = 1", []),
        ("def f():\n    A = 1", []),
    ],
)
def test_what_counts_as_a_numeric_constant(source, names):
    assert list(numeric_constants(source)) == names
