"""Maps side by side as one picture: titles, scores, aspect kept, each with its color bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from audit.engine.seen_region import Region

SIDE: Final = 448
_SIZE, _PAD, _BAR = 18, 8, 14
_INK, _FAINT = (20, 20, 20), (110, 110, 110)
_BOX: Final = (255, 60, 60)


@dataclass(frozen=True)
class Panel:
    """One picture of a row.

    Attributes:
        title: above it.
        picture: RGB, the longer side `SIDE` pixels.
        ends: lowest and highest value of its color bar; None for none.
        signed: whether colors run over both signs, from blue over white to red.
        below: a line under it.
    """

    title: str
    picture: Image.Image
    ends: tuple[float, float] | None = None
    signed: bool = False
    below: str = ""


@dataclass(frozen=True)
class PanelRow:
    """Panels of one text.

    Attributes:
        heading: the text and its score.
        panels: from left to right.
        captions: pictures below them, such as the words of the text.
    """

    heading: str
    panels: tuple[Panel, ...]
    captions: tuple[Image.Image, ...] = ()


def fitted(picture: Image.Image) -> Image.Image:
    """The picture in RGB with its longer side at `SIDE` pixels, its aspect kept."""
    scale = SIDE / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)


def map_panel(
    title: str,
    picture: Image.Image,
    values: Float[np.ndarray, "h w"],
    region: Region,
    *,
    signed: bool | None = None,
    below: str = "",
) -> Panel:
    """A map over the part of the picture that the model sees; what it does not see is gray.

    A map with values of both signs has 0 in white, blue below and red above; any other runs from
    its lowest to its highest value.

    Args:
        title: above it.
        picture: the whole picture.
        values: the map.
        region: what of the picture the map covers, in its pixels.
        signed: whether 0 stands in the middle; by default where values have both signs.
        below: a line under it.
    """
    base = np.asarray(fitted(picture), dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    both = (low < 0 < high) if signed is None else signed
    if both:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    scaled = (values - low) / ((high - low) or 1.0)
    left, top, right, bottom = _pixels(region, picture.size, base.shape)
    heat = Image.fromarray(scaled.astype(np.float32)).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.BILINEAR
    )
    drawn = 0.25 * base + 0.75 * 128
    rows, columns = slice(max(top, 0), bottom), slice(max(left, 0), right)
    level = np.asarray(heat)[max(-top, 0) :, max(-left, 0) :]
    level = level[: base[rows].shape[0], : base[:, columns].shape[1]]
    color = _colors(level, signed=both)
    drawn[rows, columns] = 0.4 * base[rows, columns] + 0.6 * color
    shown = Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
    return Panel(title, shown, (low, high), both, below)


def boxed(panel: Panel, box: tuple[float, float, float, float], size: tuple[int, int]) -> Panel:
    """The panel with a rectangle on it.

    Args:
        panel: of a picture.
        box: left, top, right, bottom in pixels of that picture.
        size: width and height of that picture.
    """
    picture = panel.picture.copy()
    scale = picture.width / size[0]
    ImageDraw.Draw(picture).rectangle([scale * x for x in box], outline=_BOX, width=3)
    return Panel(panel.title, picture, panel.ends, panel.signed, panel.below)


def figure(drawn: Sequence[Image.Image]) -> Image.Image:
    """Rows as one picture, one below the other."""
    width = max(one.width for one in drawn)
    sheet = Image.new("RGB", (width, sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet


def row_picture(row: PanelRow) -> Image.Image:
    """The panels of one text with its heading above them, and its captions below."""
    font, small = ImageFont.load_default(_SIZE), ImageFont.load_default(_SIZE - 4)
    line = _SIZE + _PAD
    widths = [
        max(p.picture.width, int(font.getlength(p.title)), int(small.getlength(p.below)))
        for p in row.panels
    ]
    tall = max((p.picture.height for p in row.panels), default=0)
    under = line if any(p.below for p in row.panels) else 0
    body = line + tall + _PAD + _BAR + line + under if row.panels else 0
    across = max(
        sum(widths) + _PAD * (len(widths) + 1), int(font.getlength(row.heading)) + 2 * _PAD
    )
    across = max([across, *(one.width for one in row.captions)])
    high = _PAD + line + body + sum(one.height for one in row.captions)
    sheet = Image.new("RGB", (across, high), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_PAD, _PAD), row.heading, fill=_INK, font=font)
    left = _PAD
    for panel, width in zip(row.panels, widths, strict=True):
        _draw_panel(sheet, panel, (left, _PAD + line), tall, (font, small))
        left += width + _PAD
    top = _PAD + line + body
    for one in row.captions:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet


def _draw_panel(
    sheet: Image.Image,
    panel: Panel,
    at: tuple[int, int],
    tall: int,
    fonts: tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, ...],
) -> None:
    draw, (left, top) = ImageDraw.Draw(sheet), at
    line = _SIZE + _PAD
    draw.text((left, top), panel.title, fill=_FAINT, font=fonts[0])
    sheet.paste(panel.picture, (left, top + line))
    below = top + line + tall + _PAD
    if panel.ends is not None:
        ramp = np.linspace(0, 1, panel.picture.width, dtype=np.float32)
        bar = _colors(np.repeat(ramp[None], _BAR, 0), signed=panel.signed)
        sheet.paste(Image.fromarray(bar.astype(np.uint8)), (left, below))
        low, high = (f"{end:.3g}" for end in panel.ends)  # the font has no superscripts
        draw.text((left, below + _BAR + 2), low, fill=_FAINT, font=fonts[1])
        wide = int(fonts[1].getlength(high))
        place = (left + panel.picture.width - wide, below + _BAR + 2)
        draw.text(place, high, fill=_FAINT, font=fonts[1])
    if panel.below:
        draw.text((left, below + _BAR + line), panel.below, fill=_INK, font=fonts[1])


def _pixels(
    region: Region, size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """A region in pixels of the drawn picture."""
    across, down = shape[1] / size[0], shape[0] / size[1]
    left, top, right, bottom = region
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


def _colors(level: Float[np.ndarray, "h w"], *, signed: bool) -> Float[np.ndarray, "h w 3"]:
    scale = mpl.colormaps["RdBu_r" if signed else "viridis"]
    return np.asarray(scale(level)[..., :3] * 255, dtype=np.float64)
