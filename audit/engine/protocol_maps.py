"""Maps of the same pairs side by side, as a protocol's page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from audit.engine.benchmark_page import PAIRS_SHOWN
from audit.engine.picture_drawing import drawn_pictures
from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explanations import grid_masks
from audit.result.schema import ShownPair
from audit.result.shown_pairs import picture_key

Grid = list[list[float]]


@dataclass(frozen=True)
class PairsShown:
    """The pairs whose maps are shown.

    Attributes:
        shown_pairs: by id, text, key of the picture and mask.
        pictures: by their keys, as PNG in base64.
    """

    shown_pairs: Mapping[str, ShownPair] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


def pairs_to_show(context: Context) -> PairsShown:
    """Some pairs spread over the data, with their pictures as the model receives them."""
    pairs, masks = context.pairs, grid_masks(context)
    chosen = _chosen(context)
    drawn = drawn_pictures(context, [pairs.ids[i] for i in chosen])
    shown = {
        pairs.ids[i]: ShownPair(
            text=pairs.text(i),
            picture=picture_key(drawn[pairs.ids[i]]),
            mask=None if masks is None else masks[i].tolist(),
        )
        for i in chosen
    }
    return PairsShown(shown, {picture_key(png): png for png in drawn.values()})


def maps_to_show(context: Context, maps: Tensor) -> dict[str, Grid]:
    """Of maps (pairs, rows, columns) those of the same pairs, by their ids."""
    return {context.pairs.ids[i]: maps[i].tolist() for i in _chosen(context)}


def _chosen(context: Context) -> list[int]:
    return list(evenly_spaced(len(context.pairs), PAIRS_SHOWN))
