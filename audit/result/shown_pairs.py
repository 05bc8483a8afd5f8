"""Which pairs a result shows, and their pictures, each held once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from audit.result.figures import PairFigure
from audit.result.schema import CheckResult, Result

__all__ = ["figures_of_pairs", "pairs_shown", "picture_key", "with_pictures", "without_gallery"]


def figures_of_pairs(checks: Iterable[CheckResult]) -> list[PairFigure]:
    """The figures of findings that show a pair."""
    figures = [figure for check in checks for figure in check.finding.figures]
    return [figure for figure in figures if isinstance(figure, PairFigure)]


def pairs_shown(checks: Iterable[CheckResult], gallery: Sequence[PairFigure]) -> list[str]:
    """The pairs that findings and the gallery show, each once."""
    return list(dict.fromkeys(figure.pair for figure in (*figures_of_pairs(checks), *gallery)))


def picture_key(png: str) -> str:
    """The name of a picture in a result, by its content."""
    return hashlib.sha256(png.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def without_gallery(result: Result) -> Result:
    """The result without its gallery, most of its size, and the pictures that only this shows."""
    shown = {
        pair: result.shown_pairs[pair]
        for pair in pairs_shown(result.checks, ())
        if pair in result.shown_pairs
    }
    used = {one.picture for one in shown.values()}
    pictures = {key: png for key, png in result.pictures.items() if key in used}
    update = {"gallery": [], "shown_pairs": shown, "pictures": pictures}
    return result.model_copy(update=update)


def with_pictures(result: Result, most: int | None) -> Result:
    """The result with at most so many of its pictures, those of findings first; None for all."""
    if most is None:
        return result
    order = pairs_shown(result.checks, result.gallery)
    shown = (result.shown_pairs[pair].picture for pair in order if pair in result.shown_pairs)
    kept = list(dict.fromkeys(key for key in shown if key in result.pictures))[:most]
    pairs = {
        pair: one if one.picture in kept else one.model_copy(update={"picture": None})
        for pair, one in result.shown_pairs.items()
    }
    pictures = {key: png for key, png in result.pictures.items() if key in kept}
    return result.model_copy(update={"shown_pairs": pairs, "pictures": pictures})
