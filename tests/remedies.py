"""Which findings have to say what to do about them."""

from __future__ import annotations

from audit.result.finding import Finding, Verdict


def without_remedy(finding: Finding) -> bool:
    """Whether it is a violation, or an error, that names no remedy: a sentence of its own."""
    told = finding.verdict in {Verdict.VIOLATION, Verdict.ERROR}
    return told and not finding.remedy.endswith((".", ")"))
