"""The result in the terminal: what failed first, then what passed in a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.reports import statuses
from audit.result import wording as words
from audit.result.schema import CheckResult, Result

__all__ = ["Detail", "TerminalReport", "render_terminal"]

Detail = Literal["verdict", "usual", "all"]
"""``verdict`` is one line, ``all`` gives every check its sentence and statistic."""

_STYLES: Final = {
    "violation": "bold red",
    "error": "bold magenta",
    "warning": "yellow",
    "waived": "cyan",
    "inconclusive": "blue",
    "pass": "green",
    "not-applicable": "dim",
}
_BRIEF: Final = frozenset({"pass", "not-applicable"})
_INDENT: Final = 7
_PLACES: Final = 2
_LINE: Final = 600


class TerminalReport:
    """A rich renderable; without color or Unicode where the console has none."""

    def __init__(self, result: Result, report_path: Path | str | None, detail: Detail) -> None:
        self._result = result
        self._report_path = report_path
        self._detail = detail

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the report's parts, one after the other."""
        result, plain = self._result, _ascii if options.ascii_only else _unicode
        if self._detail == "verdict":
            yield _headline(result, plain)
            return
        yield Text()
        yield _headline(result, plain)
        yield _subject(result, plain)
        yield Text()
        for check in _what_failed_first(result):
            brief = self._detail == "usual" and statuses.status_of(check).key in _BRIEF
            yield _head(check, plain) if brief else _check(check, plain)
        yield Text()
        for failure in result.failures:
            yield Text(plain(f"{failure.where}: {failure.message}"), style="magenta")
        for note in result.notes:
            yield Text(plain(note), style="dim")
        yield Text(f"{statuses.tally(result)}; exit code {result.exit_code}")
        if self._report_path is not None:
            yield Text.assemble("report: ", (plain(str(self._report_path)), "bold"))


def render_terminal(
    result: Result, report_path: Path | str | None = None, detail: Detail = "usual"
) -> TerminalReport:
    """The report for ``rich.console.Console.print``; foreign text is never read as markup."""
    return TerminalReport(result, report_path, detail)


def _what_failed_first(result: Result) -> list[CheckResult]:
    """The checks by status, those of one status by id."""
    order = [status.key for status in statuses.STATUSES]
    return sorted(result.checks, key=lambda check: order.index(statuses.status_of(check).key))


def _headline(result: Result, plain: Callable[[str], str]) -> Text:
    status = statuses.overall(result)
    return Text.assemble(
        (f"{_glyph(status, plain)} {statuses.verdict_word(result)}", _STYLES[status.key]),
        "  ",
        (plain(result.headline), "bold"),
    )


def _subject(result: Result, plain: Callable[[str], str]) -> Table:
    rows = {
        "explainer": words.explainer_phrase(result),
        "model": words.model_phrase(result),
        "data": words.data_phrase(result),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(f"  {name}", style="dim"), Text(plain(value)))
    return table


def _head(check: CheckResult, plain: Callable[[str], str]) -> Text:
    status = statuses.status_of(check)
    style = _STYLES[status.key]
    return Text.assemble(
        (f"{_glyph(status, plain)} ", style),
        (plain(words.shorten(check.id, 12)), "bold"),
        f" {plain(words.shorten(check.name, 48))}  ",
        (status.word.lower(), style),
    )


def _check(check: CheckResult, plain: Callable[[str], str]) -> Group:
    status = statuses.status_of(check)
    lines = [Text(plain(check.finding.summary))]
    measured = next((one for one in check.finding.statistics if one.value is not None), None)
    if measured is not None:
        phrase = f"{words.shorten(measured.name, 60)} {words.statistic_phrase(measured)}"
        lines.append(Text(plain(phrase), style="dim"))
    if status.key in statuses.VIOLATED:
        lines += [Text(plain(place), style="dim") for place in _places(check)]
    if remedy := statuses.remedy(check):
        lines.append(Text(plain(f"What to do: {remedy}")))
    head = _head(check, plain)
    return Group(head, *(Padding(line, (0, 0, 0, _INDENT), expand=False) for line in lines))


def _places(check: CheckResult) -> list[str]:
    """The first lines of the source that are to blame, unless the summary names them."""
    named = [(f"{one.file}:{one.line}", one.text) for one in check.finding.locations]
    new = [f"at {place} {text}" for place, text in named if place not in check.finding.summary]
    return new[:_PLACES]


def _glyph(status: statuses.Status, plain: Callable[[str], str]) -> str:
    return status.ascii if plain is _ascii else status.glyph


def _unicode(text: str) -> str:
    return words.visible(words.shorten(" ".join(text.split()), _LINE))


def _ascii(text: str) -> str:
    return words.ascii_only(_unicode(text))
