"""The trend of an explainer over its audits: one offline page, in the look of the report."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np

from audit.gate.history import FOLDER, HistoryError, of_one_explainer
from audit.metrics.quality_table import range_of
from audit.reports import charts, statuses
from audit.reports.html import render_page
from audit.reports.output import write_whole
from audit.result import wording as words
from audit.result.document import read_result
from audit.result.figures import Point, ScatterFigure, Series
from audit.result.numbers import Interval
from audit.result.schema import CheckResult, Result
from audit.statistics.bootstrap import bootstrap_interval

EXECUTED: Final = ("P204", "executed minus model accuracy")
_COMMIT: Final = 7
_COMMIT_URL: Final = re.compile(r"https?://[^\s]*\{\}[^\s]*$")


@dataclass(frozen=True)
class Past:
    """A result of the past and where it lies, as a link from the page."""

    result: Result
    link: str


@dataclass(frozen=True)
class Row:
    """An audit as the page shows it.

    Attributes:
        number: 1 for the oldest; the charts' horizontal axis.
        past: the result.
        overall: its verdict.
        cells: what each check said, None where it was not run.
        changes: against the audit before.
        commit: its first characters, empty where there is none.
        commit_link: its address, empty where none is known.
    """

    number: int
    past: Past
    overall: statuses.Status
    cells: tuple[statuses.Status | None, ...]
    changes: tuple[str, ...]
    commit: str
    commit_link: str


def render_trend(audits: Sequence[Past], commit_url: str = "") -> str:
    """Render the audits of one explainer, oldest first, as one self-contained page.

    Args:
        audits: at least one.
        commit_url: address of a commit with ``{}`` in the place of its hash; empty for no links.
    """
    every = {check.id: check for past in audits for check in past.result.checks}
    checks = [every[check_id] for check_id in sorted(every)]
    rows = [_row(n, audits, checks, commit_url) for n in range(1, len(audits) + 1)]
    return render_page(
        "trend.html.j2",
        styles=("report.css", "trend.css"),
        rows=rows[::-1],
        checks=checks,
        newest=audits[-1].result,
        version=audits[-1].result.conditions.audit_version,
        started=audits[-1].result.timing.started,
        figures=[figure for figure in _figures(audits) if figure.series],
        scatter_view=_view_with_whole_numbers,
    )


def write_trend(
    path: Path, root: Path, explainer: str | None, *, last: int, commit_url: str
) -> int:
    """Write the trend page of one explainer of a history; how many audits it shows.

    Args:
        path: the page.
        root: folder of the history.
        explainer: which one; may be None where there is only one.
        last: at most so many audits, the newest.
        commit_url: see `render_trend`.

    Raises:
        HistoryError: no audit, or several explainers to choose from, or an address that is none.
        OutputWriteError: the page cannot be written.
    """
    if commit_url and not _COMMIT_URL.match(commit_url):
        raise HistoryError(
            "--commit-url: expected an address such as https://example.org/team/project/commit/{}"
            f" with {{}} for the hash, got '{commit_url}'"
        )
    folder = root / FOLDER
    audits = [
        Past(
            read_result(folder / entry.file),
            quote(Path(os.path.relpath(folder / entry.file, path.parent)).as_posix()),
        )
        for entry in of_one_explainer(root, explainer)[-last:]
    ]
    write_whole(path, render_trend(audits, commit_url))
    return len(audits)


def _row(number: int, audits: Sequence[Past], checks: Sequence[CheckResult], url: str) -> Row:
    past = audits[number - 1]
    before = audits[number - 2].result if number > 1 else None
    now = _statuses(past.result)
    commit = past.result.conditions.git_commit or ""
    return Row(
        number=number,
        past=past,
        overall=statuses.overall(past.result),
        cells=tuple(now.get(check.id) for check in checks),
        changes=tuple(_changes(before, past.result)) if before else (),
        commit=commit[:_COMMIT],
        commit_link=url.replace("{}", commit) if url and commit else "",
    )


def _statuses(result: Result) -> dict[str, statuses.Status]:
    return {check.id: statuses.status_of(check) for check in result.checks}


def _changes(old: Result, new: Result) -> list[str]:
    """What a reader of two neighboring audits would want to be told."""
    changes = []
    if not old.model.is_same_as(new.model):
        changes.append("other model")
    if old.data.sha256 != new.data.sha256:
        changes.append("other data")
    if old.explainer.source_sha256 != new.explainer.source_sha256:
        changes.append("other source")
    was, now = _statuses(old), _statuses(new)
    changes += [
        f"{check_id} {was[check_id].word.lower()} → {now[check_id].word.lower()}"
        for check_id in sorted(was.keys() & now.keys())
        if was[check_id] is not now[check_id]
    ]
    return changes


def _figures(audits: Sequence[Past]) -> list[ScatterFigure]:
    measures = dict.fromkeys(
        measure for past in audits for pair in past.result.pair_quality for measure in pair.values
    )
    quality = [
        _figure(
            f"Quality: {measure}",
            "Mean over the pairs with its 95 % interval, by bootstrap over pictures.",
            measure,
            audits,
            [mean_quality(past.result, measure) for past in audits],
        )
        for measure in measures
    ]
    accuracy = _figure(
        "The model's accuracy",
        "Share of the pairs of which the unmodified model is right, with its 95 % interval.",
        "accuracy",
        audits,
        [_accuracy(past.result) for past in audits],
    )
    executed = _figure(
        "Executed accuracy minus the model's",
        "How much worse what the explainer executes classifies the same pictures (P204); zero "
        "where it is the model.",
        "difference in accuracy",
        audits,
        [executed_difference(past.result) for past in audits],
    )
    return [*quality, accuracy, executed]


def _figure(
    title: str,
    caption: str,
    y_label: str,
    audits: Sequence[Past],
    values: Sequence[tuple[float, Interval | None] | None],
) -> ScatterFigure:
    """A line for each model and data, since numbers of different ones do not compare."""
    series: dict[tuple[str, str], list[Point]] = {}
    names: dict[tuple[str, str], str] = {}
    for number, (past, value) in enumerate(zip(audits, values, strict=True), 1):
        if value is None:
            continue
        result = past.result
        subject = (result.model.identity_sha256, result.data.sha256)
        names.setdefault(
            subject,
            f"{words.model_phrase(result)} on {words.data_phrase(result)}",
        )
        commit = (result.conditions.git_commit or "")[:_COMMIT]
        label = " ".join(part for part in (result.timing.started, commit) if part)
        point = Point(x=number, y=value[0], y_interval=value[1], label=label)
        series.setdefault(subject, []).append(point)
    return ScatterFigure(
        title=title,
        caption=caption,
        x_label="audit",
        y_label=y_label,
        series=[Series(name=names[s], points=points, line=True) for s, points in series.items()],
    )


def mean_quality(result: Result, measure: str) -> tuple[float, Interval | None] | None:
    """Mean of a measure over an audit's pairs with its interval; None where it was not taken."""
    rows = [
        (value, pair.cluster)
        for pair in result.pair_quality
        if (value := pair.values.get(measure)) is not None
    ]
    if not rows:
        return None
    table = np.array(rows, dtype=np.float64)
    if len(np.unique(table[:, 1])) < 2:
        return float(table[:, 0].mean()), None
    found = bootstrap_interval(
        table[:, 0], clusters=table[:, 1], rng=np.random.default_rng(0), resamples=1000
    )
    least, most = range_of(measure)
    low, high = max(found.low, least), min(found.high, most)  # a t interval knows no bounds
    return found.value, Interval(low=min(low, found.value), high=max(high, found.value))


def _accuracy(result: Result) -> tuple[float, Interval | None] | None:
    value = result.data.zero_shot_accuracy
    return None if value is None else (value, result.data.zero_shot_interval)


def executed_difference(result: Result) -> tuple[float, Interval | None] | None:
    """Executed accuracy minus the model's with its interval; None where P204 gives none."""
    check_id, name = EXECUTED
    for check in result.checks:
        for statistic in check.finding.statistics if check.id == check_id else ():
            if statistic.name == name and statistic.value is not None:
                return statistic.value, statistic.interval
    return None


def _view_with_whole_numbers(figure: ScatterFigure) -> charts.ScatterView:
    """The plot's geometry; half an audit is no place on the axis."""
    view = charts.scatter_view(figure)
    ticks = {tick.at: float(tick.text) for tick in view.x_ticks if tick.text[0].isdigit()}
    whole = tuple(
        charts.Tick(at, f"{value:.0f}") for at, value in ticks.items() if value.is_integer()
    )
    return replace(view, x_ticks=tuple(tick for tick in whole if tick.text != "0"))
