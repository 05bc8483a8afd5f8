"""What a report would say twice: figures, captions, places and snippets that stand already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from audit.result.figures import Figure, SourceFigure
from audit.result.finding import Finding, Location
from audit.result.schema import CheckResult

__all__ = ["captioned_once", "places_not_quoted", "same_snippets", "shared_test"]


def captioned_once(figures: Iterable[Figure]) -> list[Figure]:
    """Each figure once, and each caption only under the first figure that has it."""
    kept: list[Figure] = []
    captions: set[str] = set()
    for figure in figures:
        if figure in kept:
            continue
        kept.append(figure)
    shown = []
    for figure in kept:
        again = figure.caption in captions
        captions.add(figure.caption)
        shown.append(figure.model_copy(update={"caption": ""}) if again else figure)
    return shown


def places_not_quoted(finding: Finding) -> list[Location]:
    """The places in the source whose lines no figure of the finding quotes."""
    quoted = {(one.file, one.line) for one in finding.figures if isinstance(one, SourceFigure)}
    return [one for one in finding.locations if (one.file, one.line) not in quoted]


def same_snippets(checks: Mapping[str, CheckResult]) -> dict[str, str]:
    """For checks whose snippet differs from an earlier one by nothing but the pair: that one.

    Args:
        checks: by their anchors, in the order of the page.

    Returns:
        The anchor of the earlier check by that of the later one.
    """
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for anchor, check in checks.items():
        witness = check.finding.witness
        if witness is None or not witness.snippet:
            continue
        earlier = first.setdefault(witness.snippet.replace(repr(witness.pair), ""), anchor)
        if earlier != anchor:
            found[anchor] = earlier
    return found


def shared_test(finding: Finding) -> str:
    """The test behind every p-value of a finding, where it is one and the same."""
    tests = {one.p_test for one in finding.statistics if one.p_test}
    return tests.pop() if len(tests) == 1 else ""
