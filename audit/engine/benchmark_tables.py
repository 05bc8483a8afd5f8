"""A benchmark as tables for other programs: CSV for all, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from audit.engine.benchmark_cells import Benchmark, Outcome
from audit.engine.benchmark_scores import Score, scores_by_measure
from audit.reports import statuses
from audit.result import wording as words

_MARKS: Final = {
    "violation": r"$\times$",
    "warning": r"($\times$)",
    "waived": r"($\times$)",
    "pass": r"\checkmark",
    "inconclusive": "?",
    "error": "!",
    "not-applicable": "--",
}
ESCAPED: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
_FORMULAS: Final = ("=", "+", "-", "@")


def verdicts_csv(benchmark: Benchmark) -> str:
    """One row for each audit and check: verdict, severity, the statistic that decided, remedy."""
    rows = (
        {
            **_subject(one),
            "check": check.id,
            "name": check.name,
            "verdict": check.finding.verdict.value,
            "severity": statuses.severity_of(check).value,
            "value": next((s.value for s in check.finding.statistics), None),
            "summary": check.finding.summary,
            "remedy": statuses.remedy(check),
        }
        for one in benchmark.outcomes
        if one.result
        for check in one.result.checks
    )
    columns = ("check", "name", "verdict", "severity", "value", "summary", "remedy")
    return rows_as_csv([*_OF_SUBJECT, *columns], rows)


def quality_csv(benchmark: Benchmark) -> str:
    """One row for each audit and measure: mean, interval, difference to the best, ranks, cost."""
    columns = (
        *("measure", "mean", "low", "high", "behind_best", "behind_low", "behind_high"),
        *("best_rank", "worst_rank", "passes", "seconds"),
    )
    return rows_as_csv([*_OF_SUBJECT, *columns], _quality_rows(benchmark))


def latex(benchmark: Benchmark) -> str:
    """One table for each model and data: a column a check, then quality, ranks and cost."""
    return "\n".join(
        _latex_table(title, outcomes) for title, outcomes in benchmark.subjects().items()
    )


_OF_SUBJECT: Final = ("explainer", "model", "data", "audit", "exit_code")


def _subject(one: Outcome) -> dict[str, object]:
    return {
        "explainer": one.cell.name,
        "model": words.model_phrase(one.result) if one.result else one.cell.settings.model,
        "data": one.cell.settings.data,
        "audit": one.result.verdict if one.result else one.message,
        "exit_code": one.result.exit_code if one.result else None,
    }


def _scores(outcomes: Iterable[Outcome]) -> dict[str, tuple[Score, ...]]:
    return scores_by_measure({one.cell.name: one.result for one in outcomes if one.result})


def _quality_rows(benchmark: Benchmark) -> Iterator[dict[str, object]]:
    for outcomes in benchmark.subjects().values():
        by_name = {one.cell.name: one for one in outcomes}
        for measure, scores in _scores(outcomes).items():
            for score in scores:
                one = by_name[score.name]
                behind, interval = score.behind, score.interval
                yield {
                    **_subject(one),
                    "measure": measure,
                    "mean": score.mean,
                    "low": interval.low if interval else None,
                    "high": interval.high if interval else None,
                    "behind_best": behind.value if behind else None,
                    "behind_low": behind.low if behind else None,
                    "behind_high": behind.high if behind else None,
                    "best_rank": score.best_rank,
                    "worst_rank": score.worst_rank,
                    "passes": one.result.explainer.passes if one.result else None,
                    "seconds": one.result.timing.map if one.result else None,
                }


def _latex_table(title: str, outcomes: Sequence[Outcome]) -> str:
    ran = [(one, one.result) for one in outcomes if one.result]
    checks = sorted({check.id for _, result in ran for check in result.checks})
    measure, scores = next(iter(_scores(outcomes).items()), ("", ()))
    by_name = {score.name: score for score in scores}
    head = ["explainer", *checks, *([measure, "rank"] if measure else []), "passes"]
    lines = [
        f"% {title}: explainer-audit benchmark; \\checkmark{{}} needs amssymb",
        rf"\begin{{tabular}}{{l{'c' * len(checks)}{'rr' if measure else ''}r}}",
        r"\hline",
        _latex_row(head),
        r"\hline",
    ]
    for one, result in ran:
        said = {check.id: _MARKS[statuses.status_of(check).key] for check in result.checks}
        score = by_name.get(one.cell.name)
        quality = [f"{score.mean:.3f}", score.ranks] if score else ["--", "--"]
        passes = result.explainer.passes
        row = [
            one.cell.name.translate(ESCAPED),
            *(said.get(check, "") for check in checks),
            *(quality if measure else []),
            "--" if passes is None else f"{passes:.1f}",
        ]
        lines.append(f"{' & '.join(row)} \\\\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _latex_row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cell.translate(ESCAPED) for cell in cells)} \\\\"


def rows_as_csv(columns: Sequence[str], rows: Iterable[dict[str, object]]) -> str:
    """Rows as CSV, in which no text is a formula."""
    written = io.StringIO()
    table = csv.DictWriter(written, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    """A value as a table program reads it: text that begins like a formula stays text."""
    if not isinstance(value, str):
        return value
    text = words.visible(" ".join(value.split()))
    return f"'{text}" if text.startswith(_FORMULAS) else text
