"""JUnit's times are the audit's: every second of gathering and judging counts once."""

import xml.etree.ElementTree as ET

import pytest

from audit.engine.check_durations import with_durations
from audit.reports.junit import render_junit
from principles.catalogue import all_checks


def suites(result):
    root = ET.fromstring(render_junit(result))  # noqa: S314 - our own document
    return {suite.get("name"): float(suite.get("time")) for suite in root}


def test_kinds_are_shared_by_the_checks_that_declare_them(check_of):
    checks = [check_of("P104", seconds=0.5), check_of("P201", seconds=0.25)]
    needs = {check.id: check.needs for check in all_checks()}
    (one,) = sorted(needs["P104"] - needs["P201"])[:1]
    (other,) = sorted(needs["P201"] - needs["P104"])[:1]
    found = with_durations(checks, {one: 8.0, other: 4.0, "nobody's": 2.0})
    assert [check.seconds for check in found] == [0.5 + 8 + 1, 0.25 + 4 + 1]
    assert [check.seconds for check in with_durations(checks, {})] == [0.5, 0.25]


def test_the_suites_of_junit_last_as_long_as_the_audit(red):
    gathering = sum(red.conditions.seconds.values())
    total = sum(suites(red).values())
    judging = total - gathering
    assert gathering > 0
    assert 0 <= judging < 5
    longer = with_durations(red.checks, {"traces": 60.0, "ladder": 30.0, "reference": 3.0})
    later = suites(red.model_copy(update={"checks": longer}))
    assert sum(later.values()) == pytest.approx(total + 93.0, abs=0.01)
    assert min(later.values()) > 30
