"""Any kind of picture as upright RGB of 8 bits, and masks that turn with it.

What a file means is kept: 16 bits are scaled to 8, transparent places lie on white, and the
orientation that a camera wrote beside the pixels is carried out. A picture whose range of values
cannot be told is refused. What was done is told, once for a kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from audit.data.errors import DataError

TURNED = "turned upright by the orientation beside its pixels (EXIF), masks and boxes with it"
DEEP = "of 16 bits, scaled to 8"
FLOATING = "of floating point numbers from 0 to 1, scaled to 8 bits"
TRANSPARENT = "transparent in places, laid on white"
INKS = "of four inks (CMYK), converted to RGB"
ANIMATED = "of several frames, of which the first one is used"
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPED = (5, 6, 7, 8)
_BYTE, _TWO_BYTES = 255, 65_535


class PictureError(DataError):
    """A file is no picture that can be read; the message says why."""


@dataclass(frozen=True)
class OpenedPicture:
    """A picture as it is seen, and what was done to it.

    Attributes:
        picture: RGB of 8 bits, upright.
        orientation: by which it was turned, 1 to 8 as EXIF counts them; 1 is none.
        told: what was done to it, in words for many pictures.
    """

    picture: Image.Image
    orientation: int = 1
    told: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is seen."""
        return self.picture.size

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as the file stores it."""
        width, height = self.size
        return (height, width) if self.orientation in _SWAPPED else (width, height)

    def turned(self, stored: Image.Image) -> Image.Image:
        """What lies in stored pixels, such as a mask, turned as the picture was."""
        turn = _TURNS.get(self.orientation)
        return stored if turn is None else stored.transpose(turn)


def upright(file: Image.Image) -> OpenedPicture:
    """A picture as it is seen.

    Raises:
        PictureError: the range of its values cannot be told.
    """
    told = [ANIMATED] if getattr(file, "is_animated", False) else []
    written = file.getexif().get(_ORIENTATION, 1)
    orientation = written if written in _TURNS else 1
    told += [TURNED] if orientation != 1 else []
    colors, kind = _colors(file)
    told += [kind] if kind else []
    turn = _TURNS.get(orientation)
    return OpenedPicture(colors if turn is None else colors.transpose(turn), orientation, (*told,))


def _colors(file: Image.Image) -> tuple[Image.Image, str]:
    """The picture as RGB of 8 bits, and what had to be done; empty where nothing."""
    if file.mode.startswith("I"):
        return _of_levels(np.asarray(file), _TWO_BYTES, _BYTE), DEEP
    if file.mode == "F":
        return _of_levels(np.asarray(file), 1, 0), FLOATING
    if file.has_transparency_data:
        layered = file.convert("RGBA")
        if layered.getchannel("A").getextrema()[0] == _BYTE:
            return layered.convert("RGB"), ""
        ground = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(ground, layered).convert("RGB"), TRANSPARENT
    return file.convert("RGB"), INKS if file.mode == "CMYK" else ""


def _of_levels(levels: np.ndarray, most: int, least_of_most: int) -> Image.Image:
    """Gray levels from 0 to ``most`` as 8 bits.

    Raises:
        PictureError: the levels leave that range, or use so little of it that it is another's.
    """
    low, high = float(levels.min()), float(levels.max())
    if not (low >= 0 and least_of_most < high <= most) and (low, high) != (0, 0):
        raise PictureError(
            f"expected gray levels from 0 to {most:,}, found {low:g} to {high:g}, of which the "
            "range cannot be told; save the picture with 8 bits"
        )
    return Image.fromarray(np.rint(levels / most * _BYTE).astype(np.uint8)).convert("RGB")
