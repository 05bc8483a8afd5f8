"""The tables of papers that ``audit benchmark --protocol`` measures anew, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from audit.nearest_name import hint


class UnknownProtocolError(ValueError):
    """No protocol has this name."""


@dataclass(frozen=True)
class Stated:
    """A number that others give.

    Attributes:
        published: in the paper.
        reproduced: in a reproduction of it.
    """

    published: float
    reproduced: float


@dataclass(frozen=True)
class Preset:
    """Explainers and measures of a paper's table.

    Attributes:
        name: as ``--protocol`` takes it.
        explainers: specs, the reference first; of an ablation one factor changes in each.
        measures: by name, the first of them orders the table.
        pairs: as many as are measured unless told otherwise.
        stated: by explainer and measure, what others give.
        quarters: of the tower, from which to which the first explainer is run as well, by its
            options ``start`` and ``stop``.
        notes: what a reader has to know of the comparison, as sentences.
    """

    name: str
    explainers: tuple[str, ...]
    measures: tuple[str, ...]
    pairs: int
    stated: Mapping[str, Mapping[str, Stated]] = field(default_factory=dict)
    quarters: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()

    def specs(self, blocks: int) -> tuple[str, ...]:
        """Specs of all explainers on a model, each once.

        Args:
            blocks: of its image tower; 0 where they are not known.
        """
        ends = [round(quarter * blocks / 4) for quarter in range(5)]
        parts = [
            f"{self.explainers[0]}?start={ends[first]}&stop={ends[last]}"
            for first, last in self.quarters
            if ends[first] < ends[last]
        ]
        return tuple(dict.fromkeys([*self.explainers, *parts]))


_PUBLISHED: Final = (
    "Published: Zhao et al., Grad-ECLIP, Table 1: top-1 accuracy on the 50,000 validation "
    "pictures of ImageNet, CLIP ViT-B/16, ground-truth prompts; another model and other data "
    "have other numbers, and what is compared is the order."
)
_REPRODUCED: Final = (
    "Reproduced: by a reproduction whose repository holds no code or log of deletion and "
    "insertion, so that its six numbers could not be verified."
)
_DIFFERS: Final = (
    "Here a pair counts as right above every class that its picture does not show; patches "
    "are ordered on what the model sees, there pixels before the center crop; the area is a "
    "mean over the fractions scored, which theirs leaves open."
)
_GRAD_CAM: Final = (
    "Their Grad-CAM is that of the network whose last block has one head, and its weights "
    "average over the class token too: grad-cam?heads=released. That of the model stands below it."
)
_FACTORS: Final = (
    "One factor changes in each row: the blocks before which activations are put in (quarters "
    "of the tower, then all of it), the neutral picture, or the spatial support."
)
_UNREAD: Final = (
    "The paper (Izadi et al., arXiv 2603.13652, 2026) ablates the same three; its numbers and "
    "its own settings could not be read, so that none stand beside these."
)
_DELETION, _INSERTION = "grad-eclip-deletion", "grad-eclip-insertion"
GRAD_ECLIP: Final = Preset(
    name="grad-eclip",
    explainers=("grad-eclip", "maskclip?keys=true", "grad-cam?heads=released", "grad-cam"),
    measures=(_DELETION, _INSERTION),
    pairs=192,
    stated={
        "grad-cam?heads=released": {
            _DELETION: Stated(0.3417, 0.3451),
            _INSERTION: Stated(0.2682, 0.2655),
        },
        "maskclip?keys=true": {
            _DELETION: Stated(0.2848, 0.2890),
            _INSERTION: Stated(0.3335, 0.3312),
        },
        "grad-eclip": {_DELETION: Stated(0.2464, 0.2489), _INSERTION: Stated(0.3838, 0.3815)},
    },
    notes=(_PUBLISHED, _REPRODUCED, _DIFFERS, _GRAD_CAM),
)
CAAP: Final = Preset(
    name="caap",
    explainers=(
        "caap",
        "caap?neutral=blurred",
        "caap?window=3",
        "caap?window=5",
    ),
    quarters=((0, 1), (1, 2), (2, 3), (3, 4), (0, 4)),
    measures=("area-between", "morf", "lerf", "average-precision", "weighted-f"),
    pairs=24,
    notes=(_FACTORS, _UNREAD),
)
PRESETS: Final = {one.name: one for one in (GRAD_ECLIP, CAAP)}


def preset_named(name: str) -> Preset:
    """A protocol by its name.

    Raises:
        UnknownProtocolError: there is none.
    """
    if name not in PRESETS:
        raise UnknownProtocolError(
            f"unknown protocol '{name}'{hint(name, PRESETS)}; expected one of {', '.join(PRESETS)}"
        )
    return PRESETS[name]
