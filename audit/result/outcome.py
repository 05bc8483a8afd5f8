"""What an audit comes to: verdict, exit code, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.result.finding import Severity
from audit.result.gate_rule import VERDICTS, exit_code
from audit.result.schema import CheckResult
from audit.result.verdict_sentences import headline_and_sentences


def outcome(
    name: str, checks: Sequence[CheckResult], *, fail_on: Severity, strict: bool
) -> dict[str, Any]:
    """The fields of a result that follow from its checks.

    Args:
        name: of the explainer.
        checks: as the gate has them.
        fail_on: the least severity that fails.
        strict: an inconclusive check fails as well.
    """
    code = exit_code(checks, fail_on=fail_on, strict=strict)
    headline, sentences = headline_and_sentences(name, checks, code, fail_on=fail_on, strict=strict)
    return {
        "verdict": VERDICTS[code],
        "exit_code": code,
        "headline": headline,
        "principle_sentences": sentences,
    }
