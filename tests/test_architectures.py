"""The table of architectures is what the command writes, and leaves none out without a word."""

from pathlib import Path

import pytest

from tests.architecture_names import CUT, every_name, open_clip_names
from tests.architecture_rows import (
    LISTED,
    PAGE,
    Row,
    faults,
    listed,
    read_rows,
    too_few_full,
    written,
)
from tests.architectures import measured

TEXT = PAGE.read_text(encoding="utf-8")
ROWS = read_rows(TEXT)


def test_the_table_is_in_the_form_that_the_command_gives_it():
    assert written(TEXT, ROWS) == TEXT


def test_what_is_listed_is_what_the_table_says():
    assert LISTED.read_text(encoding="utf-8") == listed(ROWS)


def test_every_architecture_has_a_row_or_is_named_as_not_measured():
    missing = [name for name in every_name() if name not in ROWS]
    assert set(ROWS) <= set(every_name())
    assert all(f"`{name}`" in TEXT for name in missing)


def test_as_many_are_listed_as_are_promised():
    assert len(open_clip_names()) >= 144
    others = [name.partition(":")[0] for name in every_name() if ":" in name]
    assert others.count("timm") >= 30
    assert others.count("torchvision") >= 10
    assert others.count("hf") >= 8


def test_those_that_are_cut_are_the_ones_that_are_too_large():
    assert {name for name, row in ROWS.items() if "two blocks" in row.remarks} == CUT


def test_rows_that_were_judged_pass():
    judged = {name: row for name, row in ROWS.items() if row.checks != "not judged yet"}
    assert judged
    assert not faults(judged)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row("a", "full", "", "", "P104 violation: other", ""), "P104 violation"),
        (Row("a", "full", "", "", "not judged yet", ""), "not judged yet"),
        (Row("a", "blocks", "", "", "pass", ""), "no reason is named"),
        (Row("a", "FAILED: OSError", "", "", "", ""), "FAILED: OSError"),
    ],
)
def test_the_command_fails_for_what_a_row_lacks(row, words):
    assert any(words in fault for fault in faults({"a": row}))
    assert too_few_full({"a": row})


def test_a_row_is_measured_by_the_trace_and_the_judges(tmp_path: Path):
    row = measured("hf:vit", tmp_path, judged=True)
    assert row.checks == "pass"
    assert row.known == "2 of 5 image"
    assert float(row.error) <= 1e-6
