"""Several runs in one summary: the median and the worst, what fails in how many, and a badge."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from audit.reports.badge import badge, render_badge
from audit.reports.repeated_runs import (
    MARKER,
    groups,
    render_summary,
    summary_badge,
    summary_lines,
    worst_of,
)
from audit.result.document import render_json
from audit.result.schema import Result
from tests.made_results import HOSTILE


def run(result: Result, seed: int, code: int) -> Result:
    """The result with a seed and an exit code; a green one has the checks that pass."""
    conditions = result.conditions.model_copy(update={"seed": seed})
    checks = result.checks if code else result.checks[:1]
    update = {"conditions": conditions, "exit_code": code, "checks": checks}
    return result.model_copy(update=update)


@pytest.mark.parametrize(
    ("codes", "middle", "worst"),
    [((0, 0, 1), 0, 1), ((0, 1, 1), 1, 1), ((0, 1), 1, 1), ((0, 3, 1), 1, 3), ((3, 3, 0), 3, 3)],
)
def test_median_and_worst(result: Result, codes, middle: int, worst: int) -> None:
    (group,) = groups(run(result, seed, code) for seed, code in enumerate(codes))
    assert (group.middle, group.worst) == (middle, worst)


def test_models_and_data_are_groups_of_their_own(result: Result) -> None:
    other = result.model_copy(update={"data": result.data.model_copy(update={"name": "photos"})})
    every = groups([run(result, 0, 1), run(other, 0, 1), run(result, 1, 0)])
    assert [len(group.runs) for group in every] == [2, 1]
    assert worst_of(every) == 1
    assert worst_of([]) == 3


def test_the_summary_says_what_fails_in_how_many_runs_and_what_to_do(result: Result) -> None:
    text = render_summary(groups([run(result, 0, 1), run(result, 1, 0), run(result, 2, 1)]))
    assert text.startswith(f"{MARKER}\n## Audit: violation\n")
    assert "| 3 | violation | violation | " in text
    assert "P204 (2)" in text
    assert "What to do: " in text
    lines = list(summary_lines(groups([run(result, 0, 1), run(result, 1, 0)])))
    assert lines[0].endswith(": 2 runs, median violation, worst violation")
    assert any(line.startswith("  P204 ") and " in 1 of 2" in line for line in lines)


def test_foreign_text_stays_text(hostile: Result) -> None:
    text = render_summary(groups([hostile]))
    assert re.findall(r"(?<!\\)<[^>]*>", text.removeprefix(MARKER)) == []
    ET.fromstring(summary_badge(groups([hostile])))  # noqa: S314 - our own document
    picture = ET.fromstring(badge(HOSTILE, HOSTILE, "pass"))  # noqa: S314
    assert not picture.findall(".//{*}script")


def test_a_badge_says_verdict_and_name(result: Result) -> None:
    picture = ET.fromstring(render_badge(result))  # noqa: S314
    assert picture.get("aria-label") == "grad-eclip: violation"
    first, second = picture.findall("{*}rect")
    assert float(second.get("x")) == float(first.get("width"))
    assert float(first.get("width")) + float(second.get("width")) == float(picture.get("width"))


def test_the_command_ends_with_the_run_that_decides(command, result: Result) -> None:
    for seed, code in enumerate((0, 0, 1)):
        Path(f"{seed}.json").write_text(render_json(run(result, seed, code)), encoding="utf-8")
    done = command("summary", "0.json", "1.json", "2.json", "--out", "s")
    assert done.exit_code == 1, done.output
    assert "exit code 1, by the worst run; written: s/summary.md" in done.output
    assert Path("s/badge.svg").is_file()
    assert command("summary", "0.json", "1.json", "2.json", "--gate", "median").exit_code == 0
    assert command("summary").exit_code == 2
