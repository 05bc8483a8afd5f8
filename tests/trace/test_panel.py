"""Every member of the panel on one small model; ``python -m tests.panel`` runs all models."""

import re
from pathlib import Path

import pytest

from audit.result.finding import Finding, Verdict
from tests import panel
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.member import Member

README = Path(__file__).parents[2] / "README.md"
MOST_LEFT_OPEN = 3


def _name(member):
    return member.name.replace(" ", "-")


@pytest.mark.parametrize("member", HONEST, ids=_name)
def test_honest_explainer_is_acquitted(member, small_stage):
    findings = panel.judged_by_traces(member, small_stage)
    assert panel.outcome(member, findings) == "right", findings


@pytest.mark.parametrize("member", HONEST[::5], ids=_name)
def test_honest_explainer_is_repeatable(member, small_stage):
    findings = panel.judged_in_company(member, small_stage)
    assert {f.verdict for f in findings.values()} == {Verdict.PASS}


@pytest.mark.parametrize("member", FAULTY, ids=_name)
def test_planted_fault_gets_the_verdicts_that_it_states(member, small_stage):
    findings = panel.judged(member, small_stage)
    found = panel.of_verdict(findings, Verdict.VIOLATION)
    assert member.agrees(found), {check: findings[check].summary for check in found}


@pytest.mark.parametrize(
    ("violated", "inconclusive", "honest", "faulty"),
    [
        ("", "", "right", "wrong"),
        ("P104", "", "wrong", "right"),
        ("P104 P105", "", "wrong", "wrong"),
        ("", "P105", "inconclusive", "wrong"),
        ("P104", "P105", "wrong", "inconclusive"),
    ],
)
def test_no_verdict_is_no_acquittal(violated, inconclusive, honest, faulty):
    violation = Finding(verdict=Verdict.VIOLATION, summary="", remedy="Mend it.")
    findings = dict.fromkeys(violated.split(), violation)
    findings |= {c: Finding(verdict=Verdict.INCONCLUSIVE, summary="") for c in inconclusive.split()}
    assert panel.outcome(Member(print), findings) == honest
    assert panel.outcome(Member(print, frozenset({"P104"})), findings) == faulty


def test_totals_count_what_came_to_no_verdict():
    line = panel.Line(Member(print), ["right", "inconclusive"], {}, {}, 1.0)
    fault = panel.Line(
        Member(print, frozenset({"P104"}), {"P105": "why"}), ["right"] * 2, {}, {}, 1.0
    )
    text = panel.totals([line, fault], 2, 3.0)
    assert re.search(r"honest +1 +2 +1/2 \(50.0 %\) +1/2 \(50.0 %\) +0/2 \(0.0 %\)", text)
    assert re.search(r"faulty +1 +2 +2/2 \(100.0 %\) +0/2 \(0.0 %\) +0/2 \(0.0 %\)", text)
    assert "1 verdicts of faults are left open" in text
    assert "print: P105, since why" in text
    assert line.text(verbose=False).startswith("???")


def test_faults_leave_few_verdicts_open_and_say_why():
    either = [member.either for member in FAULTY if member.either]
    assert len(either) <= MOST_LEFT_OPEN
    assert all(why for one in either for why in one.values())
    assert not any(member.violates & set(member.either) for member in FAULTY)
    known = {*panel.TRACED, *panel.COMPANY}
    assert all(member.violates | set(member.either) <= known for member in FAULTY)
    assert all(member.violates for member in FAULTY)
    assert all(member.honest and not member.either for member in HONEST)


def test_every_member_has_a_name_of_its_own():
    names = [m.name for m in (*HONEST, *FAULTY)]
    assert len(set(names)) == len(names)


def test_the_readme_counts_the_members():
    text = " ".join(README.read_text("utf-8").split())
    counts = re.search(r"(\d+) explainers with one planted fault each and (\d+) honest ones", text)
    assert [int(count) for count in counts.groups()] == [len(FAULTY), len(HONEST)]
    found = re.search(r"(\d+) of (\d+) faults the verdicts stated and accuse none of (\d+)", text)
    assert [int(n) for n in found.groups()] == [len(FAULTY), len(FAULTY), len(HONEST)]


@pytest.mark.parametrize("check", [*panel.TRACED, *panel.COMPANY])
def test_each_check_has_a_fault_that_it_alone_catches(check):
    assert any(m.violates == {check} for m in FAULTY)


def test_a_violation_without_a_remedy_is_wrong():
    findings = {"P104": Finding(verdict=Verdict.VIOLATION, summary="")}
    assert panel.outcome(Member(print, frozenset({"P104"})), findings) == "wrong"
