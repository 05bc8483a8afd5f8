"""Which checks run, and with which severities and thresholds: ids, prefixes, slips."""

import pytest

from audit.config.settings import Settings, SettingsError
from audit.judging.judge_all import judge_all
from audit.judging.selection import by_check, required_checks, selected_checks
from audit.judging.written_checks import ids_of
from audit.result.finding import Finding, Severity, Verdict
from principles.catalogue import all_checks
from principles.check_names import check_ids


def ids(**settings):
    return [check.id for check in selected_checks(Settings(**settings))]


def test_prefixes_and_single_checks():
    assert all(i.startswith("P1") for i in ids(select=("P1",)))
    assert ids(select=("p104", "P201")) == ["P104", "P201"]
    assert "P104" not in ids(ignore=("P104",))
    assert ids(
        select=("P10",), ignore=("P102", "P103", "P105", "P106", "P107", "P108", "P109")
    ) == [
        "P101",
        "P104",
    ]


@pytest.mark.parametrize("place", ["select", "ignore"])
def test_names_of_no_check(place):
    with pytest.raises(SettingsError, match=r"unknown check 'P14' .*a prefix such as P1, or"):
        selected_checks(Settings(**{place: ("P14",)}))


def test_thresholds_must_exist():
    with pytest.raises(SettingsError, match="check P201 has no threshold 'x'; known: none, clear"):
        selected_checks(Settings(thresholds={"P201": {"x": 1}}))
    with pytest.raises(SettingsError, match="P101 has no threshold 'x'; known: none"):
        selected_checks(Settings(thresholds={"P101": {"x": 1}}))
    assert ids(thresholds={"P2": {"clear": 0.6}})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("error_rate", 0.0, "a share above 0, at most 0.5, got 0"),
        ("error_rate", 1.5, "a share above 0, at most 0.5, got 1.5"),
        ("error_rate", float("nan"), "a share above 0, at most 0.5, got nan"),
        ("least_of_each", 0, "a whole number of 1 or more, got 0; the default is 5"),
        ("least_of_each", 2.5, "a whole number of 1 or more, got 2.5"),
        ("none", float("inf"), "a share from 0 to 1, got inf"),
        ("none", 6, "a share from 0 to 1, got 6; the default is 0.5"),
        ("clear", 0.5, r"a number above none \(0.5\), got 0.5; the default is 0.6"),
        ("reliability", 1.1, "a number of at most 1, got 1.1"),
    ],
)
def test_thresholds_that_cannot_be(name, value, wanted):
    with pytest.raises(SettingsError, match=rf"threshold P202\.{name}: expected {wanted}"):
        selected_checks(Settings(thresholds={"P202": {name: value}}))
    assert ids(thresholds={"P202": {"error_rate": 0.5, "least_of_each": 1.0, "none": 0}})


def test_the_longest_word_counts():
    checks = selected_checks(Settings(select=("P104", "P105", "P201")))
    found = by_check({"P105": "error", "P1": "warning"}, checks)
    assert found == {"P104": "warning", "P105": "error"}


@pytest.mark.parametrize(("given", "expected"), [({}, "error"), ({"P104": "warning"}, "warning")])
def test_a_given_severity_beats_that_of_the_finding(given, expected, monkeypatch):
    import dataclasses

    from audit.evidence.kinds import Evidence, Roles
    from audit.reports.statuses import severity_of

    (check,) = selected_checks(Settings(select=("P104",)))
    finding = Finding(verdict=Verdict.VIOLATION, summary="s", severity=Severity.ERROR)
    check = dataclasses.replace(check, judge=lambda: finding, severity=Severity.WARNING)
    roles = Roles("x", (), (), None, True, False, False)
    (result,), _ = judge_all([check], Evidence(roles=roles), [], severity=given, thresholds={})
    assert result.severity.value == expected
    assert severity_of(result).value == expected


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("P104",), {"P104"}),
        (("p101-p103", "P201"), {"P101", "P102", "P103", "P201"}),
        (("P20",), {f"P20{i}" for i in range(1, 7)}),
        (("P108-P2",), {"P108", "P109", "P110"} | {f"P20{i}" for i in range(1, 7)}),
        ((), set()),
    ],
)
def test_required_checks_by_id_range_and_prefix(words, ids):
    settings = Settings(require=words)
    assert required_checks(settings, selected_checks(settings)) == ids


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"require": ("P190",)}, "require: unknown check 'P190'"),
        ({"require": ("P101-P190",)}, "require: unknown check 'P190'"),
        (
            {"require": ("P105-P101",)},
            "expected a range such as P101-P105, got 'P105-P101'",
        ),
        ({"require": ("P1",), "ignore": ("P104",)}, "P104 is left out by select or ignore"),
        ({"require": ("P201", "P202"), "select": ("P1",)}, "P201, P202 are left out"),
    ],
)
def test_a_check_that_cannot_be_required_is_refused(settings, words):
    settings = Settings(**settings)
    with pytest.raises(SettingsError) as caught:
        required_checks(settings, selected_checks(settings))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("P101-P103",), ["P101", "P102", "P103"]),
        (("p104", "P201-P202"), ["P104", "P201", "P202"]),
        (("P109-P2",), ["P109", "P110", *(f"P20{i}" for i in range(1, 7))]),
    ],
)
def test_ranges_are_selected_and_ignored_as_they_are_required(words, ids):
    every = ids_of("select", ("P1", "P2"), check_ids())
    assert [c.id for c in selected_checks(Settings(select=words))] == ids
    left = {c.id for c in selected_checks(Settings(ignore=words))}
    assert left == every - set(ids)


def test_ids_are_told_by_names_of_files():
    assert list(check_ids()) == [check.id for check in all_checks()]
