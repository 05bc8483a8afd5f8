"""Detection and false alarms of the checks of principle 1 over a panel of explainers.

Run ``python -m tests.panel`` from the repository's root. Exits 1 unless every planted fault gets
exactly the verdicts that it states and no honest explainer is accused. An honest explainer of which
a check is INCONCLUSIVE is no acquittal: it is counted and shown.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from audit.evidence.context import Sizes
from audit.evidence.kinds import Evidence, Roles, TraceEvidence
from audit.explainers.contract import Explainer
from audit.judging.judge_all import judge_all
from audit.result.finding import Finding, Verdict
from audit.trace.tracing import trace_pair
from principles.catalogue import all_checks
from tests import map_panel
from tests.gathered import gathered
from tests.panel_stage import SIZES, Stage, context_of, reference_of, stage
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.member import Member
from tests.remedies import without_remedy

TRACED = ("P101", "P102", "P103", "P104", "P105")
COMPANY = ("P109",)
Outcome = Literal["right", "inconclusive", "wrong"]
MARKS: Mapping[Outcome, str] = {"right": "ok ", "inconclusive": "???", "wrong": "BAD"}


def judged(member: Member, on: Stage) -> dict[str, Finding]:
    """What the checks find of a member on a stage.

    A fault that another check catches may change maps from run to run as well: P109 is not asked.
    """
    found = judged_by_traces(member, on)
    if member.honest or "P109" in member.violates:
        found |= judged_in_company(member, on)
    return found


def judged_by_traces(member: Member, on: Stage) -> dict[str, Finding]:
    """What the checks of a trace find."""
    explainer = Explainer(member.name, member.explain)
    traces = tuple(
        trace_pair(explainer, copy.deepcopy(on.model), on.structure, pair)[0] for pair in on.pairs
    )
    evidence = Evidence(
        roles=Roles(member.name, (), (), None, True, False, False),
        reference=reference_of(on, 2),
        trace=TraceEvidence(traces, (), on.tolerance, "float32", {}),
    )
    return _judged(TRACED, evidence)


def judged_in_company(member: Member, on: Stage) -> dict[str, Finding]:
    """What P109 finds, of maps in other company and of a second run."""
    context = context_of(Explainer(member.name, member.explain), on, Sizes(repeated=3))
    evidence = Evidence(
        roles=context.roles,
        reference=reference_of(on),
        repeatability=gathered(context, "repeatability").repeatability,
    )
    return _judged(COMPANY, evidence)


def _judged(ids: Sequence[str], evidence: Evidence) -> dict[str, Finding]:
    checks = [check for check in all_checks() if check.id in ids]
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    if failures:
        raise RuntimeError("; ".join(f"{f.where}: {f.message}" for f in failures))
    return {r.id: r.finding for r in results}


def of_verdict(findings: Mapping[str, Finding], verdict: Verdict) -> frozenset[str]:
    """The checks that came to a verdict."""
    return frozenset(check for check, f in findings.items() if f.verdict is verdict)


def outcome(member: Member, findings: Mapping[str, Finding]) -> Outcome:
    """Whether a member got the verdicts that it must get, or none that acquits an honest one.

    A violation that does not say what to do about it is wrong as well.
    """
    if not member.agrees(of_verdict(findings, Verdict.VIOLATION)):
        return "wrong"
    if any(map(without_remedy, findings.values())):
        return "wrong"
    open_ = of_verdict(findings, Verdict.INCONCLUSIVE) | of_verdict(findings, Verdict.ERROR)
    return "inconclusive" if open_ else "right"


@dataclass(frozen=True)
class Line:
    """A member on all stages: what came of it, and what was said last of what is no pass."""

    member: Member
    outcomes: Sequence[Outcome]
    said: Mapping[str, int]
    words: Mapping[str, str]
    seconds: float

    @property
    def worst(self) -> Outcome:
        """The worst of the outcomes."""
        return max(self.outcomes, key=list(MARKS).index)

    def text(self, *, verbose: bool) -> str:
        """For the terminal."""
        expected = " ".join(sorted(self.member.violates)) or "honest"
        found = " ".join(f"{what}:{count}" for what, count in sorted(self.said.items())) or "-"
        line = f"{MARKS[self.worst]} {self.member.name:55} {expected:16} {found:34} "
        lines = [f"{line}{self.seconds:.2f} s"]
        if verbose or self.worst != "right":
            lines += [f"      {what} {why[:240]}" for what, why in sorted(self.words.items())]
        return "\n".join(lines)


def line_of(member: Member, stages: Sequence[Stage]) -> Line:
    """Judge a member on every stage."""
    outcomes: list[Outcome] = []
    said: Counter[str] = Counter()
    words: dict[str, str] = {}
    began = time.perf_counter()
    for on in stages:
        try:
            findings = judged(member, on)
        except Exception as error:  # noqa: BLE001 - shown as the member's result
            outcomes.append("wrong")
            said["failed"] += 1
            words["failed"] = f"{type(error).__name__}: {error}"
            continue
        outcomes.append(outcome(member, findings))
        for check, finding in findings.items():
            if finding.verdict in {Verdict.VIOLATION, Verdict.INCONCLUSIVE, Verdict.ERROR}:
                mark = "" if finding.verdict is Verdict.VIOLATION else f" {finding.verdict.value}"
                said[f"{check}{mark}"] += 1
                words[f"{check}{mark}"] = finding.summary
    return Line(member, outcomes, said, words, (time.perf_counter() - began) / len(stages))


def totals(lines: Sequence[Line], stages: int, seconds: float) -> str:
    """How many members got what they must get on how many models, and how many got no verdict."""
    rows = ["", f"{'':8} explainers  models   as stated         inconclusive      wrong"]
    for name, honest in (("faulty", False), ("honest", True)):
        some = [line for line in lines if line.member.honest is honest]
        counted = Counter(one for line in some for one in line.outcomes)
        every = max(len(some) * stages, 1)
        cells = [
            f"{counted[one]}/{len(some) * stages} ({100 * counted[one] / every:.1f} %)"
            for one in MARKS
        ]
        rows.append(f"{name:8} {len(some):10}  {stages:6}   {cells[0]:17} {cells[1]:17} {cells[2]}")
    either = [
        f"{line.member.name}: {check}, since {why}"
        for line in lines
        for check, why in line.member.either.items()
    ]
    rows.append(f"{len(either)} verdicts of faults are left open, as a trace cannot tell.")
    rows += [f"      {text}" for text in either]
    return "\n".join([*rows, f"{seconds:.0f} s"])


def main() -> int:
    """Run the panel and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", default="", help="part of a member's name")
    parser.add_argument("--quiet", action="store_true", help="show only what is not right")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--device", default="cpu", help="where the models lie: cpu, cuda, …")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stages = [
        stage(s, size, device=options.device)
        for size in options.sizes.split(",")
        for s in range(options.seeds)
    ]
    started = time.perf_counter()
    lines = []
    for member in (m for m in (*HONEST, *FAULTY) if options.only in m.name):
        lines.append(line_of(member, stages))
        if lines[-1].worst != "right" or not options.quiet:
            print(lines[-1].text(verbose=options.verbose), flush=True)
    print(totals(lines, len(stages), time.perf_counter() - started))
    wrong = sum(line.worst == "wrong" for line in lines)
    return int(wrong + map_panel.run(stages, print) > 0)


if __name__ == "__main__":
    sys.exit(main())
