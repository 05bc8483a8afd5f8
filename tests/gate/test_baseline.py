"""The baseline: what is new or worse, and what was there before."""

import pytest

from audit.gate.baseline import apply_baseline, worse
from audit.result.finding import Location, Severity, Verdict
from audit.result.gate_rule import exit_code
from audit.result.numbers import Interval, Statistic


def statistic(value, side="below", ends=None):
    interval = Interval(low=ends[0], high=ends[1]) if ends else None
    return Statistic(name="gap", value=value, interval=interval, threshold=0.0, good_side=side)


def test_the_same_result_has_nothing_new(red):
    checks, notes = apply_baseline(red.checks, red, same_subject=True)
    assert {c.id: c.is_new for c in checks} == {
        "P101": None,
        "P104": False,
        "P105": False,
        "P201": False,
    }
    assert notes == []
    assert exit_code(checks, fail_on=Severity.ERROR, strict=True) == 0


def test_violations_that_were_not_there_fail(red, green):
    checks, notes = apply_baseline(red.checks, green, same_subject=True)
    assert {c.id for c in checks if c.is_new} == {"P104", "P105"}
    assert exit_code(checks, fail_on=Severity.ERROR, strict=False) == 1
    assert "P104 is worse than in the baseline: pass → violation." in notes


def test_a_check_that_the_baseline_lacks_is_new(red):
    old = red.model_copy(update={"checks": [c for c in red.checks if c.id != "P104"]})
    checks, _ = apply_baseline(red.checks, old, same_subject=True)
    assert {c.id for c in checks if c.is_new} == {"P104"}


def test_numbers_count_only_for_the_same_model_and_data(red, check_of):
    old = red.model_copy(update={"checks": [check_of("P104", statistics=[statistic(0.01)])]})
    new = [check_of("P104", statistics=[statistic(0.02)])]
    assert apply_baseline(new, old, same_subject=True)[0][0].is_new is True
    checks, notes = apply_baseline(new, old, same_subject=False)
    assert checks[0].is_new is False
    assert "another model or other data" in notes[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (statistic(0.10), statistic(0.10), False),
        (statistic(0.10), statistic(0.104), False),
        (statistic(0.10), statistic(0.11), True),
        (statistic(0.10), statistic(0.01), False),
        (statistic(0.10, "above"), statistic(0.09, "above"), True),
        (statistic(0.10, "above"), statistic(0.2, "above"), False),
        (statistic(0.5, "above", (0.4, 0.6)), statistic(0.35, "above", (0.2, 0.5)), False),
        (statistic(0.5, "above", (0.4, 0.6)), statistic(0.2, "above", (0.1, 0.3)), True),
        (statistic(0.2, "below", (0.1, 0.3)), statistic(0.5, "below", (0.4, 0.6)), True),
        (statistic(0.2, "below", (None, None)), statistic(0.5, "below", (0.4, 0.6)), False),
        (statistic(None), statistic(0.5), False),
        (statistic(0.0), statistic(1e-9), True),
    ],
)
def test_worse_by_its_statistic(check_of, old, new, expected):
    before, now = (check_of("P104", statistics=[s]) for s in (old, new))
    assert (worse(before, now, numbers=True) is not None) is expected


def test_what_was_no_verdict_was_not_accepted(check_of):
    broken = check_of("P104", verdict=Verdict.ERROR)
    assert worse(broken, check_of("P104"), numbers=True) == "error → violation"
    unclear = check_of("P104", verdict=Verdict.INCONCLUSIVE)
    assert worse(broken, unclear, numbers=True) == "error → inconclusive"


def test_worse_by_severity_places_and_verdict(check_of):
    once = [Location(file="a.py", line=3, text="x")]
    moved = [Location(file="a.py", line=7, text="x")]
    twice = [*moved, Location(file="a.py", line=9, text="y")]
    before = check_of("P104", locations=once, severity=Severity.WARNING)
    assert (
        worse(before, check_of("P104", locations=moved, severity=Severity.WARNING), numbers=False)
        is None
    )
    assert worse(before, check_of("P104", locations=moved), numbers=False) == "warning → error"
    same = check_of("P104", locations=twice, severity=Severity.WARNING)
    assert worse(before, same, numbers=False) == "found in 2 places, before in 1"
    unclear = check_of("P104", verdict=Verdict.INCONCLUSIVE)
    assert worse(unclear, check_of("P104"), numbers=False) == "inconclusive → violation"
    assert worse(check_of("P104"), unclear, numbers=False) is None
