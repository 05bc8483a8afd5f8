"""The image tower's residual streams, and the features that they lead to."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from audit.models.anatomy import KnownTower


def block_range(tower: KnownTower, start: int | None, stop: int | None) -> tuple[int, int]:
    """A range of blocks; its ends default to the middle half of the tower.

    Raises:
        ValueError: where it is not inside the tower.
    """
    depth = len(tower.blocks)
    begin = depth // 4 if start is None else start
    end = depth - depth // 4 if stop is None else stop
    if not 0 <= begin <= end <= depth:
        raise ValueError(
            f"expected a block range inside [0, {depth}) of the {tower.name} tower, got "
            f"[{begin}, {end})"
        )
    return begin, end


def inputs_of_blocks(
    tower: KnownTower, images: Float[Tensor, "n 3 H W"], start: int, stop: int
) -> list[Float[Tensor, "n t d"]]:
    """The residual stream at the inputs of blocks ``start`` to ``stop - 1``."""
    x = tower.run(tower.embed(images), 0, start)
    streams = [x]
    for index in range(start, stop - 1):
        x = tower.run(x, index, index + 1)
        streams.append(x)
    return streams


def features_from(tower: KnownTower, x: Float[Tensor, "n t d"], start: int) -> Float[Tensor, "n e"]:
    """Image features from the stream at the input of a block, by the blocks above it."""
    return tower.score_features(tower.run(x, start, len(tower.blocks)))
