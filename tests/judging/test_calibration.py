"""The real checks of principle 2 on simulated audits: wrong verdicts and power.

Each estimator is simulated 2,000 times beside its own check, Holm's procedure in
`tests/judging/test_multiplicity.py`. Here all checks judge together, controls and reliability
included, as often as half a minute allows; `python -m tests.benchmarks.calibration` judges 2,000.
"""

from audit.result.finding import Verdict
from tests.benchmarks.calibration import ERROR_RATE, RIGHT_PASSES, judged, wrong
from tests.principles.alignment import at_most

AUDITS = 60


def test_at_the_thresholds_audits_with_a_wrong_verdict_stay_at_the_error_rate():
    found = judged("boundary", AUDITS)
    assert not any(one.verdict is Verdict.ERROR for audit in found for one in audit.values())
    mistaken = [wrong("boundary", audit) for audit in found]
    assert sum(map(bool, mistaken)) <= at_most(ERROR_RATE, AUDITS)
    for check in ("P201", "P202", "P203", "P205", "P206"):
        silent = sum(audit[check].silent for audit in found)
        assert silent < 0.2 * AUDITS, check  # the checks are free to speak, and to be wrong


def test_maps_that_follow_the_model_pass_as_often_as_stated_and_are_never_accused():
    """Effects are `EFFECTS["related"]`; the powers below are those of 2,000 audits, less chance."""
    found, runs = judged("related", 25), 25
    power = {c: sum(audit[c].verdict is Verdict.PASS for audit in found) / runs for c in found[0]}
    assert power["P201"] > 0.6
    assert power["P203"] > 0.6
    assert min(power["P202"], power["P205"], power["P206"]) > 0.9
    accused = [n for audit in found for n, one in audit.items() if one.verdict is Verdict.VIOLATION]
    assert accused == []


def test_a_wrong_verdict_is_told_from_a_right_one():
    (audit,) = judged("unrelated", 1)
    passed = {name: type(one)(Verdict.PASS, one.silent) for name, one in audit.items()}
    assert wrong("unrelated", passed) == set(audit) - RIGHT_PASSES["unrelated"]
    violated = {name: type(one)(Verdict.VIOLATION, one.silent) for name, one in audit.items()}
    assert wrong("unrelated", violated) == {"P202", "P203", "P204", "P206"}
