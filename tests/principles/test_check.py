"""What a check reads off its signature, and checks of the first edition."""

from dataclasses import dataclass, replace

import pytest

from audit.evidence.kinds import Costs, Evidence, Explanations, Faithfulness, Reference, Roles
from audit.judging.judge_all import judge_all
from audit.judging.selection import by_check
from audit.result.finding import Finding, Severity, Verdict
from principles.catalogue import all_checks
from principles.check import Check, documentation_of
from principles.limits import CheckLimits, LimitError, Share


@dataclass(frozen=True)
class Limits(CheckLimits):
    spread: Share = 0.25


def made(judge, **more):
    values = {
        "id": "P190", "name": "n", "title": "t", "failure_title": "f", "reference": "r",
        "severity": Severity.ERROR,
    }  # fmt: skip
    return Check(judge=judge, **(values | more))


def found(summary):
    return Finding(verdict=Verdict.PASS, summary=summary)


def read_both(
    explanations: Explanations,
    roles: Roles,
    limits: Limits,
    faithfulness: Faithfulness | None = None,
):
    return found(f"{explanations} {roles.audited} {limits.spread} {faithfulness}")


def test_needs_limits_and_what_is_on_demand_are_read_off_the_signature():
    check = made(read_both)
    assert check.needs == {"explanations", "faithfulness"}
    assert check.on_demand == {"faithfulness"}
    assert check.thresholds == {"spread": 0.25}


def evidence_of(roles, **kinds):
    """Evidence with words in the place of kinds, which no check looks into here."""
    evidence = Evidence(roles=roles)
    for kind, words in kinds.items():
        object.__setattr__(evidence, kind, words)
    return evidence


def test_a_check_is_called_with_what_it_names(roles):
    evidence = evidence_of(roles, explanations="maps", ladder="hidden")
    check = made(read_both)
    assert check.finding(evidence).summary == "maps ours 0.25 None"
    assert check.finding(evidence, Limits(spread=0.5)).summary == "maps ours 0.5 None"


def test_missing_evidence_is_named(roles):
    with pytest.raises(ValueError, match="P190: expected evidence of kind explanations, got none"):
        made(read_both).finding(Evidence(roles=roles))


def test_a_check_without_limits_has_none():
    check = made(lambda reference: found(f"{reference}"))
    assert check.thresholds == {}
    assert check.needs == {"reference"}


def one_unknown(reference, maps):
    return found("")


def untyped(reference, limits):
    return found("")


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (one_unknown, "P190: expected judge's parameters to be among roles, .*; got maps; name"),
        (untyped, "P190: expected judge's parameter 'limits' to be annotated"),
    ],
)
def test_signatures_that_are_no_checks(judge, message):
    with pytest.raises(TypeError, match=message):
        made(judge)


@pytest.mark.parametrize("name", ["p101", "P1", "X101", "P1001"])
def test_an_id_is_a_letter_and_three_digits(name):
    with pytest.raises(ValueError, match=f"expected a check's id as in P104 or P201, got '{name}'"):
        made(read_both, id=name)


def test_an_id_names_its_principle_or_the_check_does():
    assert made(read_both, id="P290").principle == 2
    assert made(read_both, id="P999", principle=1).principle == 1
    with pytest.raises(ValueError, match="P999: expected principle=1 or principle=2"):
        made(read_both, id="P999")


class FirstEdition:
    """A plug-in's check as it was written for the first edition."""

    def __init__(self):
        self.seen = []

    def judge(self, evidence, thresholds):
        self.seen.append((evidence, thresholds))
        return found("first edition")

    def check(self):
        return made(
            self.judge,
            needs=frozenset({"explanations", "faithfulness"}),
            on_demand=frozenset({"faithfulness"}),
            thresholds={"spread": 0.25, "error_rate": 0.05, "least": 3},
        )


def test_checks_of_the_first_edition_are_judged_as_they_were(roles):
    plug_in = FirstEdition()
    check = plug_in.check()
    assert (check.needs, check.on_demand) == ({"explanations", "faithfulness"}, {"faithfulness"})
    maps, hidden = Explanations({}, {}), Costs({})
    evidence = Evidence(roles=roles, explanations=maps, costs=hidden)
    (result,), broken = judge_all(
        [check], evidence, [], severity={}, thresholds={"P190": {"least": 4.0}},
        to_come=frozenset({"faithfulness"}),
    )  # fmt: skip
    assert not broken
    assert result.finding.summary == "first edition"
    assert result.thresholds == {"spread": 0.25, "error_rate": 0.05, "least": 4}
    seen, thresholds = plug_in.seen[-1]
    assert seen == Evidence(roles=roles, explanations=maps)
    assert thresholds == result.thresholds
    with pytest.raises(LimitError, match="limit error_rate: expected a share above 0"):
        check.limits({"error_rate": 0.9})
    assert replace(check, severity=Severity.WARNING).finding(evidence).summary == "first edition"


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_every_check_says_how_to_fix_it_in_what_a_terminal_shows(check):
    assert list(check.documentation) == [
        "What it does", "Why it matters", "How to fix it", "What a pass does not show",
    ]  # fmt: skip
    assert 60 < len(check.documentation["How to fix it"]) < 560
    assert 1 <= check.documentation["How to fix it"].count(". ") + 1 <= 4


def test_a_section_that_is_missing_is_named():
    import types

    module = types.ModuleType("p199_without", "P199.\n\nWhat it does: x.\n\nWhy it matters: y.\n")
    with pytest.raises(ValueError, match="missing How to fix it, What a pass does not show"):
        documentation_of(module)


def test_a_limit_given_by_prefix_reaches_only_the_checks_that_have_it(roles):
    def judge(reference: Reference, limits: Limits):
        return found(str(limits.spread))

    checks = [made(judge), made(lambda reference: found("none"), id="P191")]
    given = by_check({"P1": {"spread": 0.5}}, checks)
    results, _ = judge_all(
        checks, evidence_of(roles, reference="r"), [], severity={}, thresholds=given
    )
    assert [r.finding.summary for r in results] == ["0.5", "none"]
    assert [r.thresholds for r in results] == [{"spread": 0.5}, {}]
