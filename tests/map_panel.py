"""What P106 and P107 say of maps whose answer algebra gives, over the panel's models.

``python -m tests.panel`` runs this after the panel of traces. An edit that moves a map which it
cannot move, or leaves one which it must move, contradicts the algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit.evidence.context import Sizes
from audit.evidence.kinds import Evidence
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.judging.judge_all import judge_all
from audit.result.finding import Verdict
from audit.result.schema import CheckResult
from principles.catalogue import all_checks
from tests.gathered import gathered
from tests.panel_stage import Stage, context_of, reference_of
from tests.reference_explainers.written_down import HONEST_MOVED, MOVED

SIZES = Sizes(reparametrized=4, randomized=6, randomizations=2)
MODEL_FREE = ("edges", "center-prior", "random")
MODEL_BOUND = ("gradient", "attention-logit-gradient", "grad-attention", "occlusion")


def moving_edits(explainer: Explainer, on: Stage) -> frozenset[str] | None:
    """Function-preserving edits that move a map by P106; None where it came to no verdict."""
    context = context_of(explainer, on, SIZES)
    found = gathered(context, "reparametrization").reparametrization
    evidence = Evidence(context.roles, reference=reference_of(on), reparametrization=found)
    result = _judged("P106", evidence)
    if result.finding.verdict not in (Verdict.PASS, Verdict.VIOLATION):
        return None
    (table,) = (f for f in result.finding.figures if f.kind == "table")
    moved = frozenset(row[0] for row in table.rows if row[-1] == "moved")
    assert bool(moved) == (result.finding.verdict is Verdict.VIOLATION)
    return moved


def survival(explainer: Explainer, on: Stage) -> Verdict:
    """What P107 says of a map."""
    context = context_of(explainer, on, SIZES)
    found = gathered(context, "randomization").randomization
    evidence = Evidence(context.roles, reference=reference_of(on), randomization=found)
    return _judged("P107", evidence).finding.verdict


def _judged(check: str, evidence: Evidence) -> CheckResult:
    (one,) = (c for c in all_checks() if c.id == check)
    (result,), failures = judge_all([one], evidence, [], severity={}, thresholds={})
    if failures:
        raise RuntimeError(failures[0].message)
    return result


def contradictions(on: Stage) -> Iterator[tuple[str, str | None]]:
    """Every question to the algebra on one model, and what is wrong with the answer, if anything.

    Yields:
        The question, and what was found where the algebra says otherwise, else nothing; None where
        the check came to no verdict.
    """
    for member in (*MOVED, *HONEST_MOVED):
        found = moving_edits(Explainer(member.name, member.explain), on)
        question = f"P106 {member.name}: {', '.join(sorted(member.edits)) or 'no edit'}"
        if found is None:
            yield question, None
            continue
        wrong = "" if found == member.edits else f"moved by {', '.join(sorted(found)) or 'no edit'}"
        yield question, wrong
    for name in (*MODEL_FREE, *MODEL_BOUND):
        verdict = survival(load_explainer(name), on)
        right = (verdict is Verdict.VIOLATION) == (name in MODEL_FREE)
        yield f"P107 {name}", "" if right else verdict.value


def run(stages: list[Stage], show: Callable[[str], None]) -> int:
    """Ask everything on every model; returns the number of contradictions."""
    asked, wrong, silent = 0, 0, 0
    for number, on in enumerate(stages):
        for question, found in contradictions(on):
            asked += found is not None
            silent += found is None
            wrong += bool(found)
            if found:
                show(f"BAD model {number}: {question}: {found}")
    show(
        f"{asked} verdicts of P106 and P107 that algebra gives: {wrong} contradictions; "
        f"{silent} without a verdict, as the map varies too much by itself"
    )
    return wrong
