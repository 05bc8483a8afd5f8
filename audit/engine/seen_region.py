"""Which part of a picture a model sees, after its own resizing and cropping."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

Region = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the picture."""
_STRAIGHT = 0.02


@runtime_checkable
class Preprocesses(Protocol):
    """What is asked of a model here."""

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""


def seen_region(model: Preprocesses, size: tuple[int, int]) -> Region:
    """The rectangle of a picture that is enlarged or shrunk to what enters the model.

    Read off two ramps of gray that are preprocessed as a picture is. Where what comes back is no
    ramp, such as behind a transform of colors, the whole picture is taken.

    Args:
        model: the model.
        size: width and height of the picture.
    """
    across, down = (_span(model, size, axis) for axis in (0, 1))
    return across[0], down[0], across[1], down[1]


def _span(model: Preprocesses, size: tuple[int, int], axis: int) -> tuple[float, float]:
    """Where the picture's own edges lie along one axis, in its pixels."""
    width, height = size
    length = size[axis]
    level = (np.arange(length) + 0.5) / length * 255
    ramp = np.broadcast_to(level if axis == 0 else level[:, None], (height, width))
    gray = np.repeat(np.rint(ramp).astype(np.uint8)[:, :, None], 3, axis=2)
    seen = model.restore_colors(model.preprocess(Image.fromarray(gray)).float())
    found = seen.mean(0).double().numpy()
    line = found.mean(0 if axis == 0 else 1)
    side = len(line)
    inner = slice(side // 8, max(side - side // 8, side // 8 + 2))
    at = (np.arange(side) + 0.5) / side
    slope, begin = np.polyfit(at[inner], line[inner], 1)
    bent = np.abs(begin + slope * at[inner] - line[inner]).max()
    if slope <= 0 or bent > _STRAIGHT:
        return 0.0, float(length)
    return float(begin * length), float((begin + slope) * length)
