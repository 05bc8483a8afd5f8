"""The measures against masks by their names in `audit.metrics.quality_table`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from jaxtyping import Float
from torch import Tensor

from audit.metrics import localization
from audit.metrics.overlap import mask_iou, weighted_f_measure

MaskMeasure = Callable[[Tensor, Tensor], Float[Tensor, " n"]]
"""Maps and masks on one grid, (n, h, w), to a number per pair."""

MASK_MEASURES: Mapping[str, MaskMeasure] = {
    "average-precision": localization.chance_corrected_average_precision,
    "energy": localization.energy_gain,
    "pointing": localization.pointing_game,
    "grid-pointing": localization.grid_pointing,
    "rank-accuracy": localization.relevance_rank_accuracy,
    "mask-iou": partial(mask_iou, rule="mean"),
    "mask-iou-otsu": partial(mask_iou, rule="otsu"),
    "mask-iou-best": partial(mask_iou, rule="best"),
    "weighted-f": weighted_f_measure,
    "dual-polarity": localization.dual_polarity_precision,
}
