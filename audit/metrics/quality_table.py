"""Every measure of map quality that ``--quality`` takes: one row each, without torch.

A measure against masks may decide the checks of principle 2; all others are reported beside it.
What computes a row is in `audit.metrics.mask_measures` and `audit.metrics.probing`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Needs = Literal["masks", "grids", "passes", "explanations", "nothing"]

NEEDS: dict[Needs, str] = {
    "masks": "masks, or grids",
    "grids": "grids",
    "passes": "forward passes of the model",
    "explanations": "further runs of the explainer",
    "nothing": "the map alone",
}


@dataclass(frozen=True)
class QualityMeasure:
    """A measure of map quality.

    Attributes:
        name: as ``--quality`` takes it.
        title: as evidence and reports have it.
        needs: what it takes beside the map.
        span: its range, in words or as an interval.
        better: whether higher or lower values are better; neither says ``neither``.
        source: where it is defined.
        differs: how it differs from its reference implementation.
        family: those of one family are measured together, by the same passes; empty for measures
            against masks.
        cost: passes (F) and explanations (E) for each pair and map, B being a backward pass; what
            is shared by all maps of a pair is marked so.
    """

    name: str
    title: str
    needs: Needs
    span: str
    better: Literal["higher", "lower", "neither"]
    source: str
    differs: str
    family: str = ""
    cost: str = ""

    @property
    def may_decide(self) -> bool:
        """Whether it judges maps against masks, higher being better."""
        return self.needs in {"masks", "grids"} and self.better == "higher"


_SPAN = re.compile(r"[\[(](?P<least>-?\d), (?P<most>\d)[\])]")
_ON_PATCHES = "on patches, fractional masks allowed"
_OWN_SCORE = "the model's own score in the place of a softmax probability"
_RIGHT = "accuracy counts a pair as right above every class that its picture does not show"

MEASURES: tuple[QualityMeasure, ...] = (
    QualityMeasure(
        "average-precision", "average precision", "masks", "(-1, 1], chance 0", "higher",
        "Su, Yuan and Zhu 2015; scikit-learn, average_precision_score",
        f"{_ON_PATCHES}; corrected for chance: (AP - area)/(1 - area)",
    ),
    QualityMeasure(
        "energy", "energy gain", "masks", "[-1, 1], chance 0", "higher",
        "Wang et al. 2020 (Score-CAM); Arras et al. 2022; Quantus, RelevanceMassAccuracy",
        f"{_ON_PATCHES}; positive relevance alone, less the object's share of the area",
    ),
    QualityMeasure(
        "pointing", "pointing game", "masks", "[0, 1], chance the area", "higher",
        "Zhang et al. 2018; TorchRay; Quantus, PointingGame",
        f"{_ON_PATCHES}; no tolerance of 15 pixels; tied maxima share the hit",
    ),
    QualityMeasure(
        "grid-pointing", "grid pointing", "grids", "[0, 1], chance the cell's share", "higher",
        "Böhle, Fritz and Schiele 2021; Arias-Duart et al. 2022; Quantus, Focus",
        "on patches; a map without positive relevance scores chance, there 0",
    ),
    QualityMeasure(
        "rank-accuracy", "relevance rank accuracy", "masks", "[0, 1], chance the area", "higher",
        "Arras, Osman and Samek 2022; Quantus, RelevanceRankAccuracy",
        f"{_ON_PATCHES}; ties at the border share what is left, there by their place",
    ),
    QualityMeasure(
        "mask-iou", "mask IoU at the mean", "masks", "[0, 1]", "higher",
        "Chefer, Gur and Wolf 2021, threshold at the map's mean",
        f"{_ON_PATCHES}; per pair, there pooled over all pixels; a constant map is all foreground",
    ),
    QualityMeasure(
        "mask-iou-otsu", "mask IoU by Otsu", "masks", "[0, 1]", "higher",
        "Otsu 1979; scikit-image, threshold_otsu",
        f"{_ON_PATCHES}; exact over the map's values, there over 256 bins",
    ),
    QualityMeasure(
        "mask-iou-best", "mask IoU at the best threshold", "masks", "[0, 1]", "higher",
        "the largest over all thresholds, which has seen the mask",
        f"{_ON_PATCHES}; over the map's own values, elsewhere over a fixed set of thresholds",
    ),
    QualityMeasure(
        "weighted-f", "weighted F-measure", "masks", "[0, 1]", "higher",
        "Margolin, Zelnik-Manor and Tal 2014; PySODMetrics, WeightedFmeasure",
        "lengths in patches, not pixels, so values do not compare with theirs; masks count from a "
        "coverage of one half; of equally near object cells the first counts",
    ),
    QualityMeasure(
        "dual-polarity", "dual-polarity precision", "masks", "[0, 1]", "higher",
        "after Cedro and Chlebus 2026, of which only the abstract could be read",
        "the share of all relevance, by size, that is positive inside or negative outside; no "
        "reference implementation was at hand",
    ),
    QualityMeasure(
        "morf", "MoRF, mean drop", "passes", "that of score differences", "higher",
        "Samek et al. 2017 (AOPC); Quantus, RegionPerturbation",
        f"{_OWN_SCORE}; the picture's mean as the fill; area by trapezoids; ties in seeded order",
        "removal", "about 28 F",
    ),
    QualityMeasure(
        "lerf", "LeRF, mean drop", "passes", "that of score differences", "lower",
        "Samek et al. 2017; Quantus, RegionPerturbation with order lerf",
        "as morf", "removal", "about 28 F",
    ),
    QualityMeasure(
        "area-between", "area between LeRF and MoRF", "passes", "that of score differences",
        "higher", "Samek et al. 2017 (ABPC); Blücher, Vielhaben and Strodthoff 2024 (SRG)",
        "as morf; a constant map scores exactly 0", "removal", "about 28 F",
    ),
    QualityMeasure(
        "sufficiency", "sufficiency", "passes", "that of score differences", "lower",
        "DeYoung et al. 2020 (ERASER), bins of 1, 5, 10, 20 and 50 %",
        "patches in the place of tokens, filled by the picture's mean; not Quantus's Sufficiency, "
        "which is Dasgupta et al. 2022",
        "removal", "about 28 F",
    ),
    QualityMeasure(
        "comprehensiveness", "comprehensiveness", "passes", "that of score differences", "higher",
        "DeYoung et al. 2020 (ERASER), bins of 1, 5, 10, 20 and 50 %",
        "as sufficiency", "removal", "about 28 F",
    ),
    QualityMeasure(
        "area-between-all", "area between LeRF and MoRF, every patch", "passes",
        "that of score differences", "higher", "Blücher, Vielhaben and Strodthoff 2024 (SRG)",
        "as area-between, through every count of patches, of which those are interpolated where "
        "the curve is straight within 0.01",
        "every-count", "60 to 100 F",
    ),
    QualityMeasure(
        "rise-deletion", "deletion, RISE", "passes", "[0, 1]", "lower",
        "Petsiuk, Das and Saenko 2018; RISE, evaluation.py",
        "probability of the pair's class among the data's, not of the predicted one; whole patches "
        "in 224 steps, each count once; ties in seeded order",
        "rise", "2 F a patch",
    ),
    QualityMeasure(
        "rise-insertion", "insertion, RISE", "passes", "[0, 1]", "higher",
        "Petsiuk, Das and Saenko 2018; RISE, evaluation.py",
        "as rise-deletion; the blur is renormalized at the border", "rise", "2 F a patch",
    ),
    QualityMeasure(
        "grad-eclip-deletion", "deletion, Grad-ECLIP", "passes", "[0, 1]", "lower",
        "Zhao et al. 2024, imagenet_eval_deletion.py",
        f"{_RIGHT}; ordered on what the model sees, there before the center crop; seeded noise, "
        "not rounded to bytes; the area is a mean over 0 to 50 %, which theirs leaves open",
        "grad-eclip", "22 F",
    ),
    QualityMeasure(
        "grad-eclip-insertion", "insertion, Grad-ECLIP", "passes", "[0, 1]", "higher",
        "Zhao et al. 2024, imagenet_eval_insertion.py",
        "as grad-eclip-deletion, over 5 to 100 %", "grad-eclip", "22 F",
    ),
    QualityMeasure(
        "road-morf", "ROAD, MoRF", "passes", "[0, 1]", "lower",
        "Rong et al. 2022; Quantus, ROAD",
        f"{_RIGHT}; mean over 10 to 90 % in steps of 10; whole patches; means solved to 0.001",
        "road", "20 F",
    ),
    QualityMeasure(
        "road-lerf", "ROAD, LeRF", "passes", "[0, 1]", "higher",
        "Rong et al. 2022", "as road-morf", "road", "20 F",
    ),
    QualityMeasure(
        "infidelity", "infidelity", "passes", "[0, 1]", "lower",
        "Yeh et al. 2019, optimal scaling; captum, infidelity with normalize",
        "over the mean squared drop; random sets of 10 to 50 % of the patches, filled by the "
        "picture's mean; the scale may not be negative, in captum it may",
        "subsets", "51 F a pair, shared",
    ),
    QualityMeasure(
        "faithfulness-correlation", "faithfulness correlation", "passes", "[-1, 1], chance 0",
        "higher", "Bhatt, Weller and Moura 2020; Quantus, FaithfulnessCorrelation",
        "sets of 10 to 50 % of the patches, their size held fixed; there 224 pixels",
        "subsets", "51 F a pair, shared",
    ),
    QualityMeasure(
        "aim-morf", "AIM, MoRF, mean drop", "passes", "that of score differences", "higher",
        "Hsieh, Fang and Wei 2026 (AIM)",
        "patches of an adversarial counterpart of the picture (10 steps, 8/255 in all, against the "
        "pair's own score); not clamped, where their code clamps normalized pixels to [0, 1]",
        "aim", "20 F; 10 F + 10 B a pair, shared",
    ),
    QualityMeasure(
        "aim-between", "AIM, area between LeRF and MoRF", "passes", "that of score differences",
        "higher", "Hsieh, Fang and Wei 2026 (AIM)", "as aim-morf",
        "aim", "20 F; 10 F + 10 B a pair, shared",
    ),
    QualityMeasure(
        "arcc", "ARCC", "explanations", "[0, 1]", "higher",
        "Domeniconi et al. 2026 (RefineCAM)",
        "the harmonic mean that the code computes, where its docstring says geometric; ROAD on "
        "patches; probability of the pair's class among the data's",
        "arcc", "1 E + 10 F",
    ),
    QualityMeasure(
        "max-sensitivity", "max-sensitivity", "explanations", "[0, ∞)", "lower",
        "Yeh et al. 2019; captum, sensitivity_max",
        "10 samples within 0.02 in normalized pixels, as in captum, on the patch grid; a map of "
        "zeros that stays so scores 0, one that moves infinity",
        "sensitivity", "10 E",
    ),
    QualityMeasure(
        "sparseness", "sparseness", "nothing", "[0, 1]", "neither",
        "Chalasani et al. 2020, Gini index; Quantus, Sparseness",
        "on patches; no 1e-7 is added, a map of zeros scores 0; no quality by itself",
        "sparseness", "none",
    ),
)  # fmt: skip
"""All measures, those that may decide first."""

_CHANCE_ZERO = "chance 0"
USUAL = ("average-precision", "energy", "pointing")
ON_GRIDS = "grid-pointing"


def has_chance_zero(title: str) -> bool:
    """Whether a map that tells nothing scores 0 on average by the measure of a title."""
    return any(one.title == title and one.span.endswith(_CHANCE_ZERO) for one in MEASURES)


def range_of(title: str) -> tuple[float, float]:
    """The least and the largest value of a measure, infinite where it has no bound or no row."""
    for one in MEASURES:
        if one.title == title and (found := _SPAN.match(one.span)):
            return float(found["least"]), float(found["most"])
    return -math.inf, math.inf
