"""The object that a saliency map outlines: a graph cut over colors, its largest part, its box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from audit.engine.seen_region import Region
from audit.metrics.graph_cut import (
    Box,
    box_of,
    filled_box,
    graph_cut,
    largest_component,
    overlap,
    seeds,
)

_WORKING = 96  # pixels of the longer side while the graph is cut


@dataclass(frozen=True)
class Outlined:
    """The object, in pixels of the picture.

    Attributes:
        mask: where it is.
        box: around it; None where it is empty.
    """

    mask: Bool[np.ndarray, "h w"]
    box: Box | None


def outlined(
    picture: Image.Image, values: Float[np.ndarray, "rows columns"], region: Region
) -> Outlined:
    """Segment the picture by seeds from a map, and keep what hangs together.

    Only the part that the model sees is segmented.

    Args:
        picture: the whole picture.
        values: the map.
        region: what of the picture the map covers.

    Raises:
        ValueError: the map is even.

    Source:
        Simonyan, Vedaldi and Zisserman (2013), section 3.2: seeds above the 95 % and below the 30 %
        quantile, mixtures of Gaussians and a graph cut; the box is that of the largest part.
    """
    width, height = picture.size
    left, top = max(0, round(region[0])), max(0, round(region[1]))
    right, bottom = min(width, round(region[2])), min(height, round(region[3]))
    crop = picture.convert("RGB").crop((left, top, right, bottom))
    scale = min(1.0, _WORKING / max(crop.size))
    small = tuple(max(2, round(side * scale)) for side in crop.size)
    size = (small[0], small[1])
    colors = np.asarray(crop.resize(size, Image.Resampling.BILINEAR), dtype=np.float64) / 255
    heat = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    inside, outside = seeds(np.asarray(heat, dtype=np.float64))
    found = largest_component(graph_cut(colors, inside, outside))
    full = Image.fromarray(found).resize(crop.size, Image.Resampling.NEAREST)
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = np.asarray(full)
    return Outlined(mask, box_of(mask))


def overlaps(found: Outlined, known: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """Intersection over union of the masks, and of the boxes around them."""
    box, own = box_of(known), found.box
    if box is None or own is None:
        return overlap(found.mask, known), 0.0
    return overlap(found.mask, known), overlap(
        filled_box(own, known.shape), filled_box(box, known.shape)
    )
