"""Tables of a result, as data frames of pandas."""

from __future__ import annotations

from typing import Any

import pandas as pd

from audit.result.schema import CheckResult, Result


def findings_frame(result: Result) -> pd.DataFrame:
    """One row a check, indexed by its id; what a finding does not have is missing."""
    columns = list(_row(result.checks[0])) if result.checks else ["verdict"]
    index = pd.Index([check.id for check in result.checks], name="check")
    return pd.DataFrame([_row(c) for c in result.checks], index=index, columns=columns)


def pairs_frame(result: Result) -> pd.DataFrame:
    """One row a pair, indexed by its id: the number of its picture, and a column a measure."""
    rows = [{"picture": p.picture} | p.values for p in result.pair_quality]  # noqa: PD011
    index = pd.Index([p.pair for p in result.pair_quality], name="pair")
    return pd.DataFrame(rows, index=index, columns=None if rows else ["picture"])


def quality_frame(result: Result) -> pd.DataFrame:
    """One row for each measure that was asked for and each explainer: mean, interval, pairs."""
    rows = [
        {
            "measure": measure.name,
            "explainer": one.explainer,
            "mean": one.mean,
            "low": one.interval.low if one.interval else None,
            "high": one.interval.high if one.interval else None,
            "pairs": one.n,
            "decides": measure.decides,
            "better": measure.better,
        }
        for measure in result.quality
        for one in measure.of
    ]
    columns = ["measure", "explainer", "mean", "low", "high", "pairs", "decides", "better"]
    return pd.DataFrame(rows, columns=columns).set_index(["measure", "explainer"])


def _row(check: CheckResult) -> dict[str, Any]:
    finding = check.finding
    decided = next(iter(finding.statistics), None)
    interval = decided.interval if decided else None
    place = next(iter(finding.locations), None)
    return {
        "name": check.name,
        "principle": check.principle,
        "severity": (finding.severity or check.severity).value,
        "verdict": finding.verdict.value,
        "summary": finding.summary,
        "statistic": decided.name if decided else None,
        "value": decided.value if decided else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "threshold": decided.threshold if decided else None,
        "pairs": decided.n if decided else None,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "remedy": finding.remedy or None,
    }
