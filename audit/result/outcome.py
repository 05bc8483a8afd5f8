"""What an audit comes to: verdict, exit code, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.result.gate_rule import VERDICTS, Rule, exit_code
from audit.result.schema import CheckResult, Failure
from audit.result.verdict_sentences import headline_and_sentences


def outcome(
    name: str,
    checks: Sequence[CheckResult],
    failures: Sequence[Failure],
    rule: Rule,
) -> dict[str, Any]:
    """The fields of a result that follow from its checks.

    Args:
        name: of the explainer.
        checks: as the gate has them.
        failures: of gathering and judging; one makes the audit incomplete.
        rule: of the gate.
    """
    code = exit_code(checks, failures, **rule)
    headline, sentences = headline_and_sentences(name, checks, code, failures, **rule)
    return {
        "verdict": VERDICTS[code],
        "exit_code": code,
        "headline": headline,
        "principle_sentences": sentences,
    }
