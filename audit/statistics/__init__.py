"""Statistics of an audit: intervals, permutation tests, multiplicity, power; thin over scipy.

Every function is pure and takes its random numbers from a `numpy.random.Generator`. NaN is never
counted as zero: observations with NaN are dropped and counted in the estimate, or raise.
"""

from audit.statistics.bootstrap import (
    bootstrap_interval,
    mean,
    ratio_of_means,
)
from audit.statistics.estimate import Estimate
from audit.statistics.ladder_trend import ladder_correlation
from audit.statistics.paired import holm, paired_difference, sign_flip, spearman_permutation
from audit.statistics.power import pairs_needed, smallest_visible_effect
from audit.statistics.proportions import (
    auroc,
    auroc_permutation,
    auroc_with_interval,
    paired_proportion_difference,
    proportion_interval,
)
from audit.statistics.rung_means import rung_quality
from audit.statistics.split_half import Measurement, split_half_reliability

__all__ = [
    "Estimate",
    "Measurement",
    "auroc",
    "auroc_permutation",
    "auroc_with_interval",
    "bootstrap_interval",
    "holm",
    "ladder_correlation",
    "mean",
    "paired_difference",
    "paired_proportion_difference",
    "pairs_needed",
    "proportion_interval",
    "ratio_of_means",
    "rung_quality",
    "sign_flip",
    "smallest_visible_effect",
    "spearman_permutation",
    "split_half_reliability",
]
