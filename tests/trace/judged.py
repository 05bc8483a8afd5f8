"""Findings of the checks of principle 1 that read a trace."""

import numpy as np

from audit.evidence.kinds import Evidence, Reference, Roles, TraceEvidence
from audit.judging.judge_all import judge_all
from principles.catalogue import all_checks

ASKED = ("P101", "P102", "P103", "P104", "P105", "P110")


def judged(name, traces, tolerance):
    """By id of the check, of traces of one explainer on a model of unknown inside.

    Args:
        name: of the explainer.
        traces: of one pair or more.
        tolerance: of scores.
    """
    none = np.zeros((1, 1))
    evidence = Evidence(
        roles=Roles(name, (), (), None, True, False, False),
        reference=Reference(
            ("pair-0",), ("a",), ("a",), none[0], none[0], none, none, None, 1, 0, (4, 4)
        ),
        trace=TraceEvidence(traces, (), tolerance, "float32", {}),
    )
    checks = [check for check in all_checks() if check.id in ASKED]
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    assert not failures
    return {r.id: r.finding for r in results}
