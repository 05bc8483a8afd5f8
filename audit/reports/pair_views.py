"""Pairs of a result laid out for the page: picture, mask and maps as small data URIs.

A picture that is shown in several places stands on the page once, as a symbol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from audit.reports.data_uris import (
    Grid,
    Scale,
    Thumbnail,
    map_uri,
    mask_uri,
    reduced,
    scale_of,
    thumbnail,
)
from audit.result.figures import DIFFERENCE, Figure, PairFigure
from audit.result.schema import Result, ShownPair
from audit.result.shown_pairs import figures_of_pairs

__all__ = ["MapView", "PairView", "Photo", "in_order", "pair_view", "photos", "photos_of"]

_ORDER: Final = ("pair", "bars", "scatter", "source", "table")


@dataclass(frozen=True)
class MapView:
    """A map as a picture, with the range of its color scale; ``own`` where no other shares it."""

    title: str
    uri: str
    scale: Scale
    own: bool


@dataclass(frozen=True)
class Photo:
    """The picture of a pair; ``symbol`` names it where it stands once for several places."""

    thumbnail: Thumbnail
    symbol: str | None = None


@dataclass(frozen=True)
class PairView:
    """A pair's text and pictures; `scale` is set where the maps share one."""

    text: str
    photo: Photo | None
    mask: str | None
    maps: tuple[MapView, ...]
    scale: Scale | None


def in_order(figures: Iterable[Figure]) -> list[Figure]:
    """What is seen at a glance first: pictures, charts, the source line, then tables."""
    return sorted(figures, key=lambda figure: _ORDER.index(figure.kind))


def photos(result: Result) -> dict[str, Photo]:
    """The pictures of a result by their keys, those that are shown more than once as symbols.

    Those of findings are kept more exactly than those that only the gallery shows.
    """
    key_of = {pair: shown.picture for pair, shown in result.shown_pairs.items()}
    found = [key_of.get(figure.pair) for figure in figures_of_pairs(result.checks)]
    places = Counter([*found, *(key_of.get(card.pair) for card in result.gallery)])
    drawn: dict[str, Photo] = {}
    for key in sorted(result.pictures):
        small = thumbnail(result.pictures[key], exact=key in found)
        if small is not None and places[key]:
            symbol = f"photo-{len(drawn) + 1}" if places[key] > 1 or key in found else None
            drawn[key] = Photo(small, symbol)
    return drawn


@runtime_checkable
class HoldsPairs(Protocol):
    """A result, or what else knows pairs and holds their pictures."""

    @property
    def shown_pairs(self) -> Mapping[str, ShownPair]:
        """By id."""

    @property
    def pictures(self) -> Mapping[str, str]:
        """By key."""


def photos_of(result: HoldsPairs, figures: Iterable[PairFigure]) -> dict[str, Photo]:
    """The pictures of some pairs by their keys, each drawn where it is shown."""
    pairs = [result.shown_pairs[f.pair] for f in figures if f.pair in result.shown_pairs]
    keys = {one.picture for one in pairs if one.picture in result.pictures}
    drawn = {key: thumbnail(result.pictures[key], exact=True) for key in sorted(filter(None, keys))}
    return {key: Photo(small) for key, small in drawn.items() if small is not None}


def pair_view(
    figure: PairFigure,
    shown_pairs: Mapping[str, ShownPair],
    photos: Mapping[str, Photo],
    *,
    exact: bool = True,
) -> PairView:
    """Text, picture, mask and maps of a pair, on one scale where the figure asks for it.

    A difference keeps a scale of its own: on that of the maps, which may have one sign and be far
    larger, it would not be seen.

    Args:
        figure: the pair and its maps.
        shown_pairs: what the result says of pairs.
        photos: by the keys of the pictures.
        exact: without it, for a gallery of many pairs, large maps are reduced further.
    """
    shown = shown_pairs.get(figure.pair, ShownPair(text=""))
    grids = [(one.title, reduced(one.values, exact=exact)) for one in figure.maps]
    alike = [grid for title, grid in grids if title != DIFFERENCE]
    shared = scale_of(alike) if figure.shared_scale and alike else None
    maps = []
    for title, grid in grids:
        scale = _about_zero(grid) if title == DIFFERENCE else shared or scale_of([grid])
        maps.append(MapView(title, map_uri(grid, scale), scale, own=scale is not shared))
    return PairView(
        text=shown.text,
        photo=photos.get(shown.picture or ""),
        mask=mask_uri(reduced(shown.mask, exact=True)) if shown.mask else None,
        maps=tuple(maps),
        scale=shared,
    )


def _about_zero(grid: Grid) -> Scale:
    """A scale with zero in the middle, whatever the signs are."""
    found = scale_of([grid])
    if found.low is None or found.high is None:
        return found
    reach = max(-found.low, found.high)
    return Scale(-reach, reach, signed=True)
