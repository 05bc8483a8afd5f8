"""Detection and false alarms of the checks of principle 1 over a panel of explainers.

Run ``python -m tests.panel`` from the repository's root. Exits 1 unless every planted fault is
caught and no honest explainer is accused.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections import Counter

import torch

from audit.evidence.context import Sizes
from audit.evidence.kinds import Evidence, Roles, TraceEvidence
from audit.evidence.repeatability import gather_repeatability
from audit.explainers.contract import Explainer
from audit.judging.judge_all import judge_all
from audit.result.schema import Verdict
from audit.trace.tracing import trace_pair
from principles.catalogue import all_checks
from tests import map_panel
from tests.panel_stage import SIZES, Stage, context_of, reference_of, stage
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.member import Member

CHECKS = ("P101", "P102", "P103", "P104", "P105")


def violated(member: Member, on: Stage) -> dict[str, str]:
    """Checks that a member violates on a stage, and what they say."""
    explainer = Explainer(member.name, member.explain)
    traces = tuple(
        trace_pair(explainer, copy.deepcopy(on.model), on.pristine, pair)[0] for pair in on.pairs
    )
    evidence = Evidence(
        roles=Roles(member.name, (), (), None, True, False, False),
        reference=reference_of(on, 2),
        trace=TraceEvidence(traces, (), on.tolerance, 0.0, "float32", {}),
    )
    checks = [check for check in all_checks() if check.id in CHECKS]
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    broken = [f"{f.where}: {f.message}" for f in failures]
    if broken:
        raise RuntimeError("; ".join(broken))
    return {r.id: r.finding.summary for r in results if r.finding.verdict is Verdict.VIOLATION}


def depends_on_company(member: Member, on: Stage) -> dict[str, str]:
    """What P109 says of a member, empty where it passes.

    A fault that another check must catch may change maps from run to run as well: not judged here.
    """
    if member.caught_by and "P109" not in member.caught_by:
        return {}
    context = context_of(Explainer(member.name, member.explain), on, Sizes(repeated=3))
    evidence = Evidence(
        roles=context.roles,
        reference=reference_of(on),
        repeatability=gather_repeatability(context),
    )
    (check,) = (c for c in all_checks() if c.id == "P109")
    (result,), failures = judge_all([check], evidence, [], severity={}, thresholds={})
    if failures:
        raise RuntimeError(failures[0].message)
    violated = result.finding.verdict is Verdict.VIOLATION
    return {"P109": result.finding.summary} if violated else {}


def main() -> int:
    """Run the panel and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", default="", help="part of a member's name")
    parser.add_argument("--quiet", action="store_true", help="show only what is wrong")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--device", default="cpu", help="where the models lie: cpu, cuda, …")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stages = [
        stage(s, size, device=options.device)
        for size in options.sizes.split(",")
        for s in range(options.seeds)
    ]
    members = [m for m in (*HONEST, *FAULTY) if options.only in m.name]
    wrong = 0
    right = {True: 0, False: 0}
    started = time.perf_counter()
    for member in members:
        agreed, said, last = 0, Counter(), {}
        began = time.perf_counter()
        for on in stages:
            try:
                found = violated(member, on) | depends_on_company(member, on)
            except Exception as error:  # noqa: BLE001 - shown as the member's result
                found = {"ERROR": f"{type(error).__name__}: {error}"}
            agreed += member.agrees(frozenset(found))
            said.update(found.keys())
            last = found or last
        wrong += agreed < len(stages)
        right[not member.caught_by] += agreed
        mark = "ok " if agreed == len(stages) else "BAD"
        expected = " ".join(sorted(member.caught_by)) or "honest"
        found_words = " ".join(f"{k}:{v}" for k, v in sorted(said.items())) or "-"
        seconds = (time.perf_counter() - began) / len(stages)
        if mark == "BAD" or not options.quiet:
            print(f"{mark} {member.name:55} {expected:12} {found_words:28} {seconds:.2f} s")
        if mark == "BAD" or options.verbose:
            for check, summary in sorted(last.items()):
                print(f"      {check} {summary[:240]}")
    _totals(members, len(stages), right, time.perf_counter() - started)
    wrong += map_panel.run(stages, print)
    return int(wrong > 0)


def _totals(members: list[Member], stages: int, right: dict[bool, int], seconds: float) -> None:
    honest = sum(not m.caught_by for m in members) * stages
    faulty = len(members) * stages - honest
    alarms = honest - right[True]
    print(
        f"\n{faulty // stages} faulty and {honest // stages} honest explainers on {stages} models "
        f"in {seconds:.0f} s: detected {right[False]}/{faulty}"
        f" ({100 * right[False] / max(faulty, 1):.1f} %), false alarms {alarms}/{honest}"
        f" ({100 * alarms / max(honest, 1):.1f} %)"
    )


if __name__ == "__main__":
    sys.exit(main())
