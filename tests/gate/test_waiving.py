"""Waivers: what they excuse, what is told of them, and how slips in the file are met."""

from datetime import date

import pytest

from audit.config.settings import Settings, SettingsError
from audit.config.waivers import WaiverEntry, WaiverError, read_waivers
from audit.engine.gate_inputs import load_gate
from audit.gate.waiving import apply_waivers
from audit.result.finding import Severity, Verdict
from audit.result.gate_rule import exit_code
from audit.result.verdict_sentences import headline_and_sentences

GOOD = 'check = "P104"\nreason = "known"\nowner = "we"\nexpires = 2030-01-31\n'
TODAY = date(2030, 1, 31)


def entry(check="P104", expires=TODAY, **more):
    return WaiverEntry(check=check, reason="known", owner="we", expires=expires, **more)


def applied(red, *waivers, strict=False, today=TODAY, explainer="grad-eclip"):
    return apply_waivers(red.checks, waivers, explainer=explainer, strict=strict, today=today)


def test_a_waiver_excuses_its_check_only_and_shows(red):
    checks, notes = applied(red, entry())
    assert {c.id for c in checks if c.waiver} == {"P104"}
    assert next(c.waiver for c in checks if c.waiver).expires == "2030-01-31"
    assert notes == []
    assert exit_code(checks, fail_on=Severity.ERROR, strict=False) == 1
    checks, _ = applied(red, entry(), entry("p105"))
    assert exit_code(checks, fail_on=Severity.ERROR, strict=False) == 0
    headline, _ = headline_and_sentences(
        "grad-eclip", checks, 0, fail_on=Severity.ERROR, strict=False
    )
    assert headline == "grad-eclip passes (waived: P104, P105)."


def test_it_counts_through_its_last_day_and_no_longer(red):
    assert applied(red, entry(), today=date(2030, 1, 31))[0][1].waiver is not None
    checks, notes = applied(red, entry(), today=date(2030, 2, 1))
    assert not any(c.waiver for c in checks)
    expected = "The waiver of P104 by we expired on 2030-01-31 and no longer waives anything; fix"
    assert [note.startswith(expected) for note in notes] == [True]


def test_a_renewed_waiver_beside_the_expired_one(red):
    checks, notes = applied(red, entry(), entry(expires=date(2031, 1, 1)), today=date(2030, 2, 1))
    assert any(c.waiver for c in checks)
    assert len(notes) == 1


def test_a_waiver_that_nobody_needs_is_told(red):
    _, notes = applied(red, entry("P101"))
    assert notes == ["The waiver of P101 by we is not needed: the check passes; remove the waiver."]


def test_a_waiver_that_cannot_be_used_is_told_and_not_to_be_removed(red, check_of):
    assert applied(red, entry("P201"))[1] == [
        "The waiver of P201 by we is not used: the check says inconclusive."
    ]
    broken = red.model_copy(update={"checks": [check_of("P104", verdict=Verdict.ERROR)]})
    assert applied(broken, entry())[1] == [
        "The waiver of P104 by we excuses no error: the check could not be judged."
    ]


def test_a_waiver_of_a_check_that_did_not_run_is_passed_over(red):
    assert applied(red, entry("P204"))[1] == []


def test_a_waiver_for_another_explainer_is_passed_over(red):
    checks, notes = applied(red, entry(explainer="gradient"))
    assert not any(c.waiver for c in checks)
    assert notes == []
    checks, _ = applied(red, entry(explainer="grad-eclip"))
    assert any(c.waiver for c in checks)


def test_inconclusive_is_waived_where_it_would_fail(red):
    assert not any(c.waiver for c in applied(red, entry("P201"))[0])
    checks, _ = applied(red, entry("P201"), strict=True)
    assert next(c for c in checks if c.id == "P201").waiver is not None


def test_an_error_cannot_be_waived(red, check_of):
    broken = red.model_copy(update={"checks": [check_of("P104", verdict=Verdict.ERROR)]})
    checks, _ = applied(broken, entry())
    assert checks[0].waiver is None
    assert exit_code(checks, fail_on=Severity.ERROR, strict=False) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[[waivers]]\n{GOOD}untill = 3", "w.toml, waiver 1: unknown key 'untill'"),
        ("[[waivers]]\n" + GOOD.replace("expires", "expire"), "did you mean 'expires'?"),
        ("[[waivers]]\n" + GOOD.replace('"known"', '""'), "'reason': string should have at least"),
        ("[[waivers]]\n" + GOOD.replace("2030-01-31", '"soon"'), "'expires': input should be a"),
        (f"[waivers]\n{GOOD}", "expected a list of waivers"),
        ("waivers = [3]", "waiver 1: expected a table"),
        ("[[waiver]]\ncheck = 'P104'", "expected tables [[waivers]] only, found 'waiver'"),
        ("= 3", "not valid TOML"),
    ],
)
def test_slips_in_the_file(tmp_path, text, message):
    path = tmp_path / "w.toml"
    path.write_text(text)
    with pytest.raises(WaiverError) as caught:
        read_waivers(path)
    assert message in str(caught.value)


def test_dates_may_be_written_as_text(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text("[[waivers]]\n" + GOOD.replace("2030-01-31", '"2030-01-31"'))
    assert read_waivers(path) == (entry(),)


def test_a_waiver_for_no_check_is_refused():
    settings = Settings(waivers=(entry("P2044"),))
    with pytest.raises(SettingsError, match=r"unknown check 'P2044' \(did you mean 'P204'\?\)"):
        load_gate(settings)
