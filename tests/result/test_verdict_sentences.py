"""The verdict in one line: what fails, what is excused and why."""

import pytest

from audit.result.finding import Finding, Severity, Verdict
from audit.result.gate_rule import exit_code
from audit.result.schema import CheckResult, Waiver
from audit.result.verdict_sentences import BROKEN, headline_and_sentences

TITLES = {"P104": "The explainer explains another score than the model's"}
WAIVER = Waiver(check="P104", reason="r", owner="o", expires="2030-01-31")


CLAIM = "x explains another score than the model's (P104)"


def check(check_id, verdict, severity=Severity.ERROR, **more):
    return CheckResult(
        id=check_id,
        name="name",
        principle=int(check_id[1]),
        title=TITLES.get(check_id, "The maps do not follow the model"),
        severity=severity,
        reference="",
        what_it_does="",
        why_it_matters="",
        what_a_pass_does_not_show="",
        thresholds={},
        finding=Finding(verdict=Verdict(verdict), summary=f"{check_id} says so."),
        **more,
    )


@pytest.mark.parametrize(
    ("checks", "strict", "code", "headline"),
    [
        ([check("P101", "pass")], False, 0, "x: no violation found in 1 check."),
        ([check("P104", "violation"), check("P101", "pass")], False, 1, CLAIM + "."),
        ([check("P106", "violation", Severity.WARNING)], False, 0, "x passes (warnings: P106)."),
        ([check("P104", "violation", waiver=WAIVER)], False, 0, "x passes (waived: P104)."),
        (
            [
                check("P104", "violation", is_new=False),
                check("P206", "violation", Severity.WARNING),
            ],
            False,
            0,
            "x passes (warnings: P206; known from the baseline: P104).",
        ),
        (
            [check("P104", "violation", waiver=WAIVER), check("P105", "violation")],
            False,
            1,
            "x: the maps do not follow the model (P105).",
        ),
        (
            [check("P106", "violation", Severity.WARNING), check("P104", "violation")],
            False,
            1,
            CLAIM + ".",
        ),
        (
            [check("P104", "violation"), check("P105", "violation"), check("P201", "violation")],
            False,
            1,
            CLAIM + ", and fails P105, P201.",
        ),
        (
            [check("P201", "inconclusive"), check("P205", "not-applicable")],
            False,
            3,
            "The audit of x is incomplete: no check came to a verdict.",
        ),
        (
            [check("P201", "inconclusive"), check("P104", "pass")],
            False,
            0,
            "x: no violation found in 2 checks.",
        ),
        (
            [check("P201", "inconclusive")],
            True,
            1,
            "--strict does not accept that P201 is inconclusive.",
        ),
        (
            [check("P104", "violation"), check("P201", "inconclusive")],
            True,
            1,
            CLAIM + "; --strict does not accept that P201 is inconclusive.",
        ),
        (
            [check("P104", "violation"), check("P201", "error")],
            False,
            3,
            "The audit of x is incomplete: P201 could not be judged; P104 violated.",
        ),
        (
            [check("P104", "not-applicable")],
            False,
            3,
            "The audit of x is incomplete: no check came to a verdict.",
        ),
        ([], False, 3, "The audit of x is incomplete: no check came to a verdict."),
        (
            [
                check("P104", "not-applicable", required=True),
                check("P105", "not-applicable"),
                check("P201", "inconclusive", required=True, is_new=False),
                check("P202", "inconclusive"),
            ],
            False,
            1,
            "--require wants a verdict of P104 (not applicable), P201 (inconclusive).",
        ),
        (
            [
                check("P104", "pass", required=True),
                check("P201", "inconclusive", required=True, waiver=WAIVER),
            ],
            False,
            0,
            "x: no violation found in 2 checks.",
        ),
        (
            [check("P104", "pass"), check("P105", "not-applicable", required=True)],
            False,
            1,
            "--require wants a verdict of P105 (not applicable).",
        ),
    ],
)
def test_code_and_headline(checks, strict, code, headline):
    found = exit_code(checks, fail_on=Severity.ERROR, strict=strict)
    line, _ = headline_and_sentences("x", checks, found, fail_on=Severity.ERROR, strict=strict)
    assert (found, line) == (code, headline)


def test_one_sentence_per_principle_that_was_asked():
    checks = [check("P101", "pass"), check("P104", "violation"), check("P105", "error")]
    _, sentences = headline_and_sentences("x", checks, 3, fail_on=Severity.ERROR, strict=False)
    assert set(sentences) == {"1"}
    assert sentences["1"] == (
        "Principle 1 is violated: the explanation is not computed on the unmodified model. "
        "P104 says so."
    )


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        (
            [check("P201", "violation"), check("P202", "violation"), check("P205", "pass")],
            f"Principle 2 is violated: {BROKEN[2]}. P201 says so. Violated as well: P202.",
        ),
        (
            [check("P106", "violation", Severity.WARNING), check("P104", "pass")],
            "Principle 1: no violation that counts (warnings: P106). P106 says so.",
        ),
        (
            [check("P104", "violation", waiver=WAIVER)],
            "Principle 1: no violation that counts (waived: P104). P104 says so.",
        ),
        (
            [check("P104", "pass"), check("P105", "error")],
            "Principle 1 could not be judged in full: P105.",
        ),
        (
            [check("P104", "pass"), check("P105", "inconclusive")],
            "Principle 1: no violation found; 1 of 2 checks pass, 1 inconclusive.",
        ),
        ([check("P104", "not-applicable")], "Principle 1: nothing can be said here."),
    ],
)
def test_sentence_of_a_principle(checks, sentence):
    _, sentences = headline_and_sentences("x", checks, 0, fail_on=Severity.ERROR, strict=False)
    assert list(sentences.values()) == [sentence]


def test_fail_on_warning():
    checks = [check("P106", "violation", Severity.WARNING)]
    assert exit_code(checks, fail_on=Severity.WARNING, strict=False) == 1
    assert exit_code(checks, fail_on=Severity.ERROR, strict=False) == 0
