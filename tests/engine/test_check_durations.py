"""JUnit's times are the audit's: every second of gathering and judging counts once."""

import xml.etree.ElementTree as ET

import pytest

from audit.engine.check_durations import spent_on_checks
from audit.reports.junit import render_junit
from principles.catalogue import all_checks


def suites(result):
    root = ET.fromstring(render_junit(result))  # noqa: S314 - our own document
    return {suite.get("name"): float(suite.get("time")) for suite in root}


def test_kinds_are_shared_by_the_checks_that_declare_them():
    needs = {check.id: check.needs for check in all_checks()}
    (one,) = sorted(needs["P104"] - needs["P201"])[:1]
    (other,) = sorted(needs["P201"] - needs["P104"])[:1]
    judging = {"P104": 0.5, "P201": 0.25}
    found = spent_on_checks({one: 8.0, other: 4.0, "nobody's": 2.0}, judging)
    assert found == {"P104": 0.5 + 8 + 1, "P201": 0.25 + 4 + 1}
    assert spent_on_checks({}, judging) == judging


def test_the_suites_of_junit_last_as_long_as_the_audit(red):
    spent = sum(red.timing.gathering.values()) + sum(red.timing.judging.values())
    assert sum(red.timing.gathering.values()) > 0
    assert sum(suites(red).values()) == pytest.approx(spent, abs=0.1)
