"""What makes a bundled scene hard, drawn up to its level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audit.data.raw_integers import integer, integers

HARDEST: Final = 100
_EASY_SHARE: Final = 4  # one scene in four
_LEVEL_DRAWS: Final = {"train": 1, "test": 3}  # the highest is taken: tests are harder
OPAQUE: Final = 256


@dataclass(frozen=True)
class Difficulty:
    """What makes a scene hard; the defaults are those of an easy one.

    Attributes:
        opacity: of objects and distractors, in [0, 256]; 256 hides the background.
        noise: strength of the noise over the whole picture, in gray levels.
        size: radius of an object, percent of an easy one's.
        distance: least distance of two objects, percent of what keeps them apart.
        distractors: shapes of colors that no class has.
    """

    opacity: int = OPAQUE
    noise: int = 12
    size: int = 100
    distance: int = 100
    distractors: int = 0


def drawn_level(bits: np.random.PCG64, split: str) -> int:
    """Draw the level of a scene, in [0, 100]; the stream goes on for its difficulty."""
    if not integer(bits, 0, _EASY_SHARE):
        return 0
    return max(integer(bits, 1, HARDEST + 1) for _ in range(_LEVEL_DRAWS[split]))


def drawn_difficulty(bits: np.random.PCG64, level: int) -> Difficulty:
    """Draw each cause of difficulty up to the level, so that scenes of one level differ."""
    faint, noisy, small, near, many = integers(bits, 0, level + 1, 5).tolist()
    return Difficulty(
        opacity=OPAQUE - 22 * faint // 10,
        noise=12 + 9 * noisy // 10,
        size=100 - small // 2,
        distance=100 - 45 * near // 100,
        distractors=(many + 19) // 20,
    )
