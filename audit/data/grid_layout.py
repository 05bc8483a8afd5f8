"""Which picture stands in which cell of which grid of a set, and how canvases are composed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from PIL import Image, ImageOps


def picture_in(n: int) -> Int[np.ndarray, "grids cells"]:
    """The picture in each cell of each of the n² grids of a set: a Latin square."""
    vectors = _vectors(n)
    return _numbers(vectors[:, None] + vectors[None], n)


def turns(n: int) -> tuple[Int[np.ndarray, "turns cells"], Int[np.ndarray, "turns cells"]]:
    """How the pairs of a set are asked: in turns in which everything is asked once.

    In a turn each of the n² grids, each of the n² cells and each of the n² pictures is asked for
    once; together the n² turns ask for every picture in every cell.

    Returns:
        The grid in which a turn asks for a cell, and the picture that stands there.

    Cells, grids and pictures are vectors over the integers modulo n; grid g has picture g + c in
    cell c, and turn t asks grid t - A c for cell c. Both A = (0 1; 1 1) and 1 - A have inverses for
    every n, so that the grids of a turn differ, and its pictures.
    """
    vectors = _vectors(n)
    turn, cell = vectors[:, None], vectors[None]
    moved = np.stack([cell[..., 1], cell[..., 0] + cell[..., 1]], -1)
    return _numbers(turn - moved, n), _numbers(turn - moved + cell, n)


def squared(picture: Image.Image, side: int) -> Image.Image:
    """The middle square of a picture, ``side`` pixels wide."""
    return ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)


def composed(squares: list[Image.Image], n: int) -> Image.Image:
    """N × n squares of one size on one canvas, row by row."""
    side = squares[0].width
    canvas = Image.new("RGB", (n * side, n * side))
    for i, square in enumerate(squares):
        row, column = divmod(i, n)
        canvas.paste(square, (column * side, row * side))
    return canvas


def cell_mask(cell: int, n: int, side: int) -> Image.Image:
    """Where a cell is on a canvas of cells of ``side`` pixels: 255 there, 0 elsewhere."""
    row, column = divmod(cell, n)
    canvas = Image.new("L", (n * side, n * side))
    canvas.paste(255, (column * side, row * side, (column + 1) * side, (row + 1) * side))
    return canvas


def _vectors(n: int) -> Int[np.ndarray, "numbers 2"]:
    return np.array([divmod(i, n) for i in range(n * n)])


def _numbers(vectors: Int[np.ndarray, "... 2"], n: int) -> Int[np.ndarray, ...]:
    """The numbers of vectors over the integers modulo n."""
    return np.asarray((vectors % n) @ np.array((n, 1)))
