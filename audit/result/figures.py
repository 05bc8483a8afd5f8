"""Figures of a result: what a report draws, as plain numbers and strings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from audit.result.numbers import Frozen, Interval

DIFFERENCE = "difference"
"""Title of a map that is one minus another: it is drawn on a scale of its own, about zero."""


class NamedMap(Frozen):
    """A saliency map on its patch grid, row by row from the top left."""

    title: str
    values: list[list[float | None]]


class ColoredWord(Frozen):
    """A word of a text with the relevance of its tokens, added; None where it was cut off.

    ``level`` is its share of the largest, from -4 (it lowers the score most) to 4.
    """

    text: str
    relevance: float | None
    level: int = Field(ge=-4, le=4)


class PairFigure(Frozen):
    """One pair, by its id: picture, mask and several maps on one color scale per ``shared_scale``.

    ``tags`` are short labels by which a gallery can be filtered, such as ``prediction wrong``.
    ``words`` are those of the text, where the audited map is one of its tokens.
    """

    kind: Literal["pair"] = "pair"
    title: str
    caption: str
    pair: str
    maps: list[NamedMap]
    shared_scale: bool = False
    tags: list[str] = []
    words: list[ColoredWord] = []


class BarsFigure(Frozen):
    """Named bars, such as the divergence of each block.

    ``limit`` is the tolerated value, or the value to beat where ``good_side`` is ``above``.
    """

    kind: Literal["bars"] = "bars"
    title: str
    caption: str
    labels: list[str]
    values: list[float | None]
    limit: float | None = None
    good_side: Literal["above", "below"] = "below"
    unit: str = ""
    log_scale: bool = False


class Point(Frozen):
    """A point of a scatter plot with its 95 % intervals."""

    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None
    label: str = ""


class Series(Frozen):
    """Points that belong together; ``control`` series are drawn muted."""

    name: str
    points: list[Point]
    line: bool = False
    control: bool = False


class ScatterFigure(Frozen):
    """Series of points or lines, such as quality against accuracy over a ladder."""

    kind: Literal["scatter"] = "scatter"
    title: str
    caption: str
    x_label: str
    y_label: str
    series: list[Series]


class TableFigure(Frozen):
    """A small table; every cell is text."""

    kind: Literal["table"] = "table"
    title: str
    caption: str
    columns: list[str]
    rows: list[list[str]]


class SourceFigure(Frozen):
    """Lines of the explainer's own source, with the line that the finding is about."""

    kind: Literal["source"] = "source"
    title: str
    caption: str
    file: str
    line: int
    first_line: int
    lines: list[str]


Figure = Annotated[
    PairFigure | BarsFigure | ScatterFigure | TableFigure | SourceFigure,
    Field(discriminator="kind"),
]
