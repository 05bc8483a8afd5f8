"""The HTML report: one offline page, rendered from the result by the templates."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from audit.reports import charts, number_tables, pair_views, said_once, statuses
from audit.reports.data_uris import ramp_uri
from audit.reports.glossary import GLOSSARY
from audit.result import wording as words
from audit.result.figures import PairFigure
from audit.result.finding import Finding, Verdict
from audit.result.schema import CheckResult, Result

__all__ = [
    "CheckView",
    "Page",
    "PairCard",
    "PrincipleView",
    "render_html",
    "render_page",
    "render_template",
]

_PRINCIPLES: Final = {
    1: "The explanation is computed on the unmodified model",
    2: "The quality of the maps tracks the performance of the model",
}
_FIRST_CARDS: Final = 8
_SLUG: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class CheckView:
    """A check, its place on the page, and what the reader is told about it."""

    anchor: str
    check: CheckResult
    status: statuses.Status
    is_open: bool


@dataclass(frozen=True)
class PrincipleView:
    """The checks of one principle in groups, what failed first."""

    number: int
    title: str
    sentence: str
    status: statuses.Status | None
    groups: tuple[tuple[statuses.Status, tuple[CheckView, ...]], ...]


@dataclass(frozen=True)
class PairCard:
    """A pair of the gallery with the labels that the filter offers."""

    anchor: str
    figure: PairFigure
    tags: tuple[str, ...]


@dataclass(frozen=True)
class KeyEvidence:
    """The pair that shows best what is wrong: of the first violation that has one."""

    anchor: str
    check: CheckResult
    figure: PairFigure


@dataclass(frozen=True)
class Page:
    """Everything on the page that is not read off the result directly."""

    principles: tuple[PrincipleView, ...]
    key_evidence: KeyEvidence | None
    cards: tuple[PairCard, ...]
    tags: tuple[str, ...]
    first_cards: int  # the others wait behind a control
    anchors: dict[str, str]  # pair → its card
    photos: dict[str, pair_views.Photo]  # by the pictures' keys
    same_snippets: dict[str, str]  # by the anchors of the later check and of the earlier


def render_html(result: Result) -> str:
    """Render `result` as one self-contained page.

    The page refers to nothing outside itself, and its content security policy allows only its own
    style sheet and script, by their hashes. Every string of the result is escaped, and characters
    that act on the display are spelled out.
    """
    return render_page("report.html.j2", styles=("report.css",), result=result, page=_page(result))


def render_page(template: str, *, styles: Iterable[str], **content: object) -> str:
    """Render a template as one self-contained page with its style sheets and the script inlined.

    Args:
        template: of `report_templates`.
        styles: style sheets of `report_templates`, joined.
        content: what the template shows.
    """
    style, script = "\n".join(map(_asset, styles)), _asset("report.js")
    return render_template(
        template,
        **content,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def render_template(template: str, **content: object) -> str:
    """Render a template of `report_templates`; strings are escaped and spelled out."""
    return _environment().get_template(template).render(**content)


def _page(result: Result) -> Page:
    naming = _naming(result.checks)
    cards = tuple(
        PairCard(
            anchor=f"pair-{index}",
            figure=figure,
            tags=(*figure.tags, *naming.get(figure.pair, ())),
        )
        for index, figure in enumerate(_worst_first(result), 1)
    )
    anchors = {card.figure.pair: card.anchor for card in cards}
    principles = _principles(result)
    groups = [group for principle in principles for group in principle.groups]
    in_page_order = {view.anchor: view.check for _, views in groups for view in views}
    return Page(
        principles=principles,
        key_evidence=_key_evidence(principles),
        cards=cards,
        tags=tuple(sorted({tag for card in cards for tag in card.tags})),
        first_cards=_FIRST_CARDS,
        anchors=anchors,
        photos=pair_views.photos(result),
        same_snippets=said_once.same_snippets(in_page_order),
    )


def _principles(result: Result) -> tuple[PrincipleView, ...]:
    order = {status.key: rank for rank, status in enumerate(statuses.STATUSES)}
    anchors = _anchors(check.id for check in result.checks)
    views = []
    for principle, title in _PRINCIPLES.items():
        checks = [
            CheckView(anchor, check, status, is_open=order[status.key] < order["warning"])
            for anchor, check in zip(anchors, result.checks, strict=True)
            for status in [statuses.status_of(check)]
            if check.principle == principle
        ]
        groups = tuple(
            (status, tuple(view for view in checks if view.status is status))
            for status in statuses.STATUSES
            if any(view.status is status for view in checks)
        )
        sentence = result.principle_sentences.get("1" if principle == 1 else "2", "")
        worst = groups[0][0] if groups else None
        views.append(PrincipleView(principle, title, sentence, worst, groups))
    return tuple(views)


def _worst_first(result: Result) -> list[PairFigure]:
    """The gallery: pairs that a violation names, then the others, each by the quality of its map.

    Quality is the first measure that the result has of its pairs; one without it comes last.
    """
    violated = [c for c in result.checks if c.finding.verdict is Verdict.VIOLATION]
    named = {pair for check in violated for pair in _named(check.finding)}
    quality = {
        one.pair: next((v for v in one.values.values() if v is not None), None)
        for one in result.pair_quality
    }

    def order(figure: PairFigure) -> tuple[bool, float]:
        found = quality.get(figure.pair)
        return figure.pair not in named, math.inf if found is None else found

    return sorted(result.gallery, key=order)


def _key_evidence(principles: Iterable[PrincipleView]) -> KeyEvidence | None:
    for principle in principles:
        for status, views in principle.groups:
            for view in views if status.key == "violation" else ():
                for figure in view.check.finding.figures:
                    if isinstance(figure, PairFigure):
                        return KeyEvidence(view.anchor, view.check, figure)
    return None


def _anchors(names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        slug = _SLUG.sub("-", name)[:40].strip("-") or "check"
        found.append(slug if slug not in found else f"{slug}-{len(found)}")
    return found


def _naming(checks: Iterable[CheckResult]) -> dict[str, list[str]]:
    """The checks that name a pair as a sample, a witness or in a figure."""
    naming: dict[str, list[str]] = {}
    for check in checks:
        for pair in sorted(_named(check.finding)):
            naming.setdefault(pair, []).append(f"named by {check.id}")
    return naming


def _named(finding: Finding) -> set[str]:
    shown = {figure.pair for figure in finding.figures if isinstance(figure, PairFigure)}
    witness = {finding.witness.pair} if finding.witness else set()
    return shown | witness | set(finding.samples)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("report_templates", ""),
        autoescape=True,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        number=words.number,
        p_value=words.p_value,
        percent=words.percent,
        bounds=words.bounds,
        shorten=words.shorten,
        visible=words.visible,
    )
    environment.globals.update(
        statuses={status.key: status for status in statuses.STATUSES},
        overall_status=statuses.overall,
        status_of=statuses.status_of,
        severity_of=statuses.severity_of,
        remedy_of=statuses.remedy,
        target=words.target,
        extras=words.extras,
        statistic_phrase=words.statistic_phrase,
        explainer_phrase=words.explainer_phrase,
        model_phrase=words.model_phrase,
        verdict_word=statuses.verdict_word,
        tally=statuses.tally,
        gauge=charts.gauge,
        gauge_width=charts.GAUGE_WIDTH,
        bars_view=charts.bars_view,
        pair_view=pair_views.pair_view,
        in_order=pair_views.in_order,
        scatter_view=charts.scatter_view,
        plot=charts.PLOT,
        flat_series=number_tables.flat_series,
        point_rows=number_tables.point_rows,
        captioned_once=said_once.captioned_once,
        places_not_quoted=said_once.places_not_quoted,
        shared_test=said_once.shared_test,
        ramp_uri=ramp_uri,
        glossary=GLOSSARY,
    )
    return environment


def _finalized(value: object) -> object:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return words.visible(value)


@lru_cache(maxsize=4)
def _asset(name: str) -> str:
    return resources.files("report_templates").joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
