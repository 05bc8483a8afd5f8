"""What a report says once, and how long it may get."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from audit.reports.html import render_html
from audit.reports.number_tables import flat_series, point_rows
from audit.reports.said_once import (
    captioned_once,
    places_not_quoted,
    same_snippets,
    shared_test,
)
from audit.result.figures import BarsFigure, Point, ScatterFigure, Series, SourceFigure
from audit.result.finding import Finding, Location, Verdict, Witness
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult, Result
from principles.catalogue import all_checks
from tests.benchmarks.report_size import words_of
from tests.made_results import check

MOST_WORDS = 12_000


def bars(title: str, caption: str) -> BarsFigure:
    return BarsFigure(title=title, caption=caption, labels=["one"], values=[1.0])


def test_a_figure_and_a_caption_are_shown_once() -> None:
    given = [bars("a", "How."), bars("b", "How."), bars("a", "How."), bars("c", "Else.")]
    shown = captioned_once(given)
    assert [(one.title, one.caption) for one in shown] == [("a", "How."), ("b", ""), ("c", "Else.")]


def test_a_place_that_a_figure_quotes_is_not_listed() -> None:
    quoted = SourceFigure(title="", caption="", file="a.py", line=2, first_line=1, lines=["x", "y"])
    places = [Location(file="a.py", line=2), Location(file="a.py", line=9)]
    finding = Finding(
        verdict=Verdict.VIOLATION, summary="", locations=places, figures=[quoted], remedy="Do."
    )
    assert places_not_quoted(finding) == [places[1]]


def witnessed(id_: str, pair: str, snippet: str) -> CheckResult:
    seen = Witness(pair=pair, command="", snippet=snippet)
    finding = Finding(verdict=Verdict.VIOLATION, summary="", witness=seen, remedy="Do.")
    return check(id_, "name", "title", finding)


def test_a_snippet_that_differs_by_the_pair_alone_refers_to_the_first(result: Result) -> None:
    checks = {
        "P104": witnessed("P104", "one", "explain('one')"),
        "P105": witnessed("P105", "two", "explain('two')"),
        "P106": witnessed("P106", "two", "explain('two', seed=1)"),
    }
    assert same_snippets(checks) == {"P105": "P104"}
    page = render_html(result.model_copy(update={"checks": list(checks.values())}))
    assert page.count("explain(&#39;one&#39;)") == page.count("seed=1") == 1
    assert "explain(&#39;two&#39;)" not in page
    assert 'the lines under <a href="#P104">P104</a>, with this pair' in page


@pytest.mark.parametrize(("tests", "shared"), [(["t", "t", ""], "t"), (["t", "u"], ""), ([""], "")])
def test_a_test_is_named_once_where_it_is_the_same(tests: list[str], shared: str) -> None:
    statistics = [Statistic(name="a", value=1.0, p=0.5, p_test=one) for one in tests]
    assert shared_test(Finding(verdict=Verdict.PASS, summary="", statistics=statistics)) == shared


def scatter(*series: Series) -> ScatterFigure:
    return ScatterFigure(title="", caption="", x_label="x", y_label="y", series=list(series))


def line(name: str, *points: tuple[str, float, float]) -> Series:
    return Series(name=name, points=[Point(label=at, x=x, y=y) for at, x, y in points])


def test_points_that_series_share_stand_in_one_row() -> None:
    one = line("one", ("noise", 0.5, 0.1), ("whole", 1.0, 0.2))
    two = line("two", ("noise", 0.5, 0.3), ("whole", 1.0, 0.4))
    limit = line("limit", ("", 0.5, 0.9), ("", 1.0, 0.8))
    rows = point_rows(scatter(one, two, limit))
    assert rows is not None
    assert [row.point.label for row in rows] == ["noise", "whole"]
    found = [[row.found[position].y for position in range(3)] for row in rows]
    assert found == [[0.1, 0.3, 0.9], [0.2, 0.4, 0.8]]


def test_a_series_that_never_changes_is_told_in_one_line(result: Result) -> None:
    one = line("one", ("noise", 0.5, 0.1), ("whole", 1.0, 0.2))
    prior = line("center-prior", ("noise", 0.5, 0.37), ("whole", 1.0, 0.37))
    figure = scatter(one, prior)
    assert flat_series(figure) == [1]
    assert flat_series(scatter(prior, prior)) == []
    rows = point_rows(figure)
    assert rows is not None
    assert [sorted(row.found) for row in rows] == [[0], [0]]
    finding = Finding(verdict=Verdict.PASS, summary="", figures=[figure])
    checks = [check("P201", "name", "title", finding)]
    page = render_html(result.model_copy(update={"checks": checks}))
    assert "The same at every point: center-prior 0.370" in page


def test_two_points_of_a_series_never_share_a_row() -> None:
    twice = line("one", ("a", 0.5, 0.1), ("a", 0.5, 0.2))
    also = line("two", ("a", 0.5, 0.3), ("a", 0.5, 0.4))
    third = line("three", ("a", 0.5, 0.5), ("a", 0.5, 0.6))
    rows = point_rows(scatter(twice, also, third))
    assert rows is not None
    assert [[p.y for p in row.found.values()] for row in rows] == [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]


def test_series_without_common_points_stand_below_each_other() -> None:
    series = [line(str(i), ("", float(i), 0.1), ("", i + 0.5, 0.2)) for i in range(5)]
    assert point_rows(scatter(*series)) is None


def test_a_report_with_figures_in_every_check_stays_readable(
    make_result: Callable[..., Result],
) -> None:
    """The texts of all checks as they are, each violated, with a pair, bars, a plot and a source.

    Pairs behind the control are not counted: their number is the reader's choice.
    """
    made = make_result(pairs=8)
    finding = next(one.finding for one in made.checks if one.id == "P105")
    kinds = {one.kind: one for one in finding.figures if one.kind != "table"}
    finding = finding.model_copy(update={"figures": list(kinds.values()) + finding.figures[3:4]})
    checks = [
        check(
            one.id,
            one.name,
            one.title,
            finding,
            reference=one.reference,
            what_it_does=one.documentation["What it does"],
            why_it_matters=one.documentation["Why it matters"],
            how_to_fix=one.documentation["How to fix it"],
            what_a_pass_does_not_show=one.documentation["What a pass does not show"],
        )
        for one in all_checks()
    ]
    page = render_html(made.model_copy(update={"checks": checks}))
    assert words_of(page) < MOST_WORDS
