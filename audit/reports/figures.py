"""Pairs of a result laid out for the page: picture, mask and maps as small data URIs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from audit.reports.data_uris import (
    Scale,
    Thumbnail,
    map_uri,
    mask_uri,
    reduced,
    scale_of,
    thumbnail,
)
from audit.result.schema import Figure, PairFigure

__all__ = ["MapView", "PairView", "in_order", "pair_view"]

_ORDER: Final = ("pair", "bars", "scatter", "source", "table")


@dataclass(frozen=True)
class MapView:
    """A map as a picture, with the range of its own color scale."""

    title: str
    uri: str
    scale: Scale


@dataclass(frozen=True)
class PairView:
    """A pair's pictures; `scale` is set where all maps share one."""

    picture: Thumbnail | None
    mask: str | None
    maps: tuple[MapView, ...]
    scale: Scale | None


def in_order(figures: Iterable[Figure]) -> list[Figure]:
    """What is seen at a glance first: pictures, charts, the source line, then tables."""
    return sorted(figures, key=lambda figure: _ORDER.index(figure.kind))


def pair_view(figure: PairFigure, *, exact: bool = True) -> PairView:
    """Picture, mask and maps of a pair as data URIs, on one scale where the figure asks for it.

    Without `exact`, for a gallery of many pairs, pictures and large maps are reduced further.
    """
    grids = [(one.title, reduced(one.values, exact=exact)) for one in figure.maps]
    shared = scale_of(grid for _, grid in grids) if figure.shared_scale else None
    maps = []
    for title, grid in grids:
        scale = shared or scale_of([grid])
        maps.append(MapView(title, map_uri(grid, scale), scale))
    mask = figure.picture.mask
    return PairView(
        picture=thumbnail(figure.picture.png, exact=exact),
        mask=mask_uri(reduced(mask, exact=True)) if mask else None,
        maps=tuple(maps),
        scale=shared,
    )
