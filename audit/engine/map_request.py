"""What ``audit map`` is asked to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.data.errors import DataError


@dataclass(frozen=True)
class MapRequest:
    """Pictures, texts and explainers, and what is to be seen of them.

    Attributes:
        explainers: specs.
        options: of the explainer, where there is one.
        pictures: paths: one, or as many as a grid has cells, in the order of its rows.
        texts: whose scores are explained.
        grid: cells on either side.
        text_map: draw each text below, its words colored by the map of its tokens.
        compose: show the texts joined as well, and how far its map is the sum of theirs.
        segment: show the object that each map outlines, and its box.
        mask: path of a picture whose places above 0 are the object; empty for none.
    """

    explainers: tuple[str, ...]
    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    grid: int = 1
    text_map: bool = False
    compose: bool = False
    segment: bool = False
    mask: str = ""

    def checked(self) -> MapRequest:
        """The request, if it can be met.

        Raises:
            DataError: it cannot; the message says what is missing.
        """
        if not self.explainers or not self.pictures:
            lacking = "--image" if self.explainers else "--explainer"
            raise DataError(f"expected {lacking}, found none; --visualize alone needs neither")
        if self.options and len(self.explainers) > 1:
            raise DataError(
                f"--option: expected one explainer, found {len(self.explainers)}; write options "
                "behind the name, as grad-eclip?heads=model"
            )
        if self.compose and len(self.texts) < 2:
            raise DataError("--compose: expected two texts or more, found one; repeat --text")
        if self.mask and not self.segment:
            raise DataError("--mask: expected --segment beside it, which is compared with the mask")
        if len(self.pictures) != self.grid**2:
            what = f"--grid {self.grid}" if self.grid > 1 else "one map"
            raise DataError(
                f"expected {self.grid**2} pictures for {what}, found {len(self.pictures)}; repeat "
                "--image, the picture of the text first"
            )
        return self

    @property
    def whole(self) -> str:
        """The joined text: that of the given ones with all words of the others, or a new one."""
        for text in self.texts:
            words = set(text.lower().split())
            if all(set(other.lower().split()) <= words for other in self.texts):
                return text
        return " and ".join(self.texts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The texts that are joined."""
        return tuple(text for text in self.texts if text != self.whole)
