"""Results of several runs, seeds, models and data in one summary: the median and the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from audit.reports import statuses
from audit.reports.badge import badge
from audit.reports.markdown import escape_markdown
from audit.result import wording as words
from audit.result.gate_rule import VERDICTS, fails, rule_of
from audit.result.schema import CheckResult, Result

_GRAVITY: Final[tuple[Literal[0, 1, 3], ...]] = (0, 1, 3)
MARKER: Final = "<!-- explainer-audit -->"
"""First line of the comment, by which a later run finds it."""


@dataclass(frozen=True)
class Group:
    """Runs of one explainer on one model and data.

    Attributes:
        title: all three, in words.
        runs: their results.
    """

    title: str
    runs: tuple[Result, ...]

    @property
    def worst(self) -> Literal[0, 1, 3]:
        """The gravest exit code."""
        return max((run.exit_code for run in self.runs), key=_GRAVITY.index)

    @property
    def middle(self) -> Literal[0, 1, 3]:
        """The median exit code, of an even number the graver one."""
        codes = sorted((run.exit_code for run in self.runs), key=_GRAVITY.index)
        return codes[len(codes) // 2]

    def failing(self) -> Mapping[str, Sequence[tuple[CheckResult, Result]]]:
        """The checks that fail in some run, with those runs."""
        found: dict[str, list[tuple[CheckResult, Result]]] = {}
        for run in self.runs:
            for check in run.checks:
                error = statuses.status_of(check).key == "error"
                if error or fails(check, **rule_of(run)):
                    found.setdefault(check.id, []).append((check, run))
        return dict(sorted(found.items()))

    def statistic(self, check_id: str) -> str:
        """Median, least and largest of the statistic that decides a check; empty without one."""
        first = [
            check.finding.statistics[0]
            for run in self.runs
            for check in run.checks
            if check.id == check_id and check.finding.statistics
        ]
        values = [one.value for one in first if one.value is not None]
        if not values:
            return ""
        name = Counter(one.name for one in first).most_common(1)[0][0]
        return (
            f"{name}: median {words.number(median(values))}, from {words.number(min(values))} to "
            f"{words.number(max(values))}"
        )


def groups(results: Iterable[Result]) -> list[Group]:
    """The results by explainer, model and data, in the order in which they are met."""
    found: dict[str, list[Result]] = {}
    for result in results:
        title = (
            f"{words.explainer_phrase(result)} on {words.model_phrase(result)}, {result.data.name}"
        )
        found.setdefault(title, []).append(result)
    return [Group(title, tuple(runs)) for title, runs in found.items()]


def worst_of(every: Sequence[Group]) -> Literal[0, 1, 3]:
    """The gravest exit code of all."""
    return max((group.worst for group in every), key=_GRAVITY.index, default=3)


def summary_lines(every: Sequence[Group]) -> Iterator[str]:
    """For the terminal: a line a group, and one a check that fails."""
    for group in every:
        yield (
            f"{group.title}: {words.counted(len(group.runs), 'run')}, median "
            f"{VERDICTS[group.middle]}, worst {VERDICTS[group.worst]}"
        )
        for check_id, met in group.failing().items():
            measured = group.statistic(check_id)
            yield (
                f"  {check_id} {met[0][0].name} in {len(met)} of {len(group.runs)}"
                + (f"; {measured}" if measured else "")
            )


def render_summary(every: Sequence[Group]) -> str:
    """The summary as Markdown, for the comment of a pull request."""
    lines = [MARKER, f"## Audit: {VERDICTS[worst_of(every)]}", ""]
    lines += ["| | runs | median | worst | failing checks |", "| --- | --- | --- | --- | --- |"]
    for group in every:
        failing = ", ".join(f"{name} ({len(met)})" for name, met in group.failing().items())
        lines.append(
            f"| {escape_markdown(group.title, 200)} | {len(group.runs)} | "
            f"{VERDICTS[group.middle]} | {VERDICTS[group.worst]} | {failing or words.DASH} |"
        )
    lines += ["", *_details(every)]
    return "\n".join(lines)


def _details(every: Sequence[Group]) -> Iterator[str]:
    for group in every:
        for check_id, met in group.failing().items():
            check, run = met[0]
            yield (
                f"- **{escape_markdown(check_id, 12)}** "
                f"{escape_markdown(group.title, 200)} (seed {run.conditions.seed}): "
                f"{escape_markdown(check.finding.summary)}"
            )
            if measured := group.statistic(check_id):
                yield f"  {escape_markdown(measured, 300)}."
            if remedy := statuses.remedy(check):
                yield f"  What to do: {escape_markdown(remedy, 600)}"
    yield ""


def summary_badge(every: Sequence[Group]) -> str:
    """The badge of all runs: the worst of them."""
    verdict = VERDICTS[worst_of(every)]
    runs = sum(len(group.runs) for group in every)
    return badge("explainer audit", f"{verdict}, {words.counted(runs, 'run')}", verdict)
