"""The real checks of principle 2 on simulated audits: wrong verdicts and power.

Each estimator is simulated beside its own check, Holm's procedure in
`tests/judging/test_multiplicity.py`. Here all checks judge together, controls and reliability
included, as often as a few seconds allow; `python -m tests.calibration` judges 2,000.
"""

import pytest

from audit.result.finding import Verdict
from audit.result.numbers import Interval, Statistic
from tests.calibration import ERROR_RATE, WRONG, Found, judged, wrong
from tests.principles.alignment import at_most

AUDITS = 6


@pytest.mark.parametrize("world", ["none", "clear"])
def test_audits_with_a_wrong_verdict_are_rare_and_numbers_agree_with_verdicts(world):
    found = judged(world, AUDITS)
    assert not any(one.verdict is Verdict.ERROR for audit in found for one in audit.values())
    assert sum(bool(wrong(world, audit)) for audit in found) <= at_most(ERROR_RATE, AUDITS)
    assert all(one.agrees for audit in found for one in audit.values())
    silent = [one.silent for audit in found for one in audit.values()]
    assert sum(silent) < 0.3 * len(silent)  # the checks are free to speak, and to be wrong


def test_maps_that_follow_the_model_pass_and_are_never_accused():
    (audit,) = judged("related", 1)
    passed = {name for name, one in audit.items() if one.verdict is Verdict.PASS}
    assert passed >= {"P202", "P205", "P206"}
    assert not wrong("related", audit)


def test_a_wrong_verdict_is_told_from_a_right_one():
    pair = Found(Verdict.PASS, silent=False), Found(Verdict.VIOLATION, silent=False)
    audit = dict(zip(("P202", "P206"), pair, strict=True))
    assert (wrong("none", audit), wrong("clear", audit)) == ({"P202"}, {"P206"})
    assert set(WRONG.values()) == {Verdict.PASS, Verdict.VIOLATION}


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.3, 0.1, 0.5, Verdict.PASS),
        (0.2, 0.1, 0.3, Verdict.VIOLATION),  # a relation, but less than counts
        (0.2, 0.1, 0.6, Verdict.INCONCLUSIVE),
        (0.3, -0.1, 0.7, Verdict.INCONCLUSIVE),
    ],
)
def test_a_number_that_says_something_else_than_its_verdict_is_found(value, low, high, verdict):
    number = Statistic(
        name="z", value=value, interval=Interval(low=low, high=high), none=0.0, clear=0.5,
        threshold=0.0, good_side="above",
    )  # fmt: skip
    for one in (Verdict.PASS, Verdict.VIOLATION, Verdict.INCONCLUSIVE):
        assert Found(one, silent=False, statistic=number).agrees is (one is verdict)
