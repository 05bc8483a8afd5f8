"""The area under the ROC curve that is left of scores when covariates are held fixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from audit.statistics.proportions import auroc

_DEGREE = 3  # of the polynomial in a covariate's rank: smooth, and free to bend twice
_ROUNDING = 1e-9  # of the spread of ranks: what is left of scores that the covariates explain


def adjusted_ranks(
    scores: Shaped[np.ndarray, " n"],
    covariates: Sequence[Shaped[np.ndarray, " n"]],
    *,
    degree: int = _DEGREE,
) -> Float[np.ndarray, " n"]:
    """Ranks of scores less what the ranks of covariates explain of them, by least squares.

    A covariate enters as a polynomial of its rank, so that any smooth relation with it is taken
    out and no outlier counts; one that is constant takes no part. Where nothing is left the result
    is zero everywhere, and not rounding. Range: about -n/2 to n/2.

    Source: covariate-adjusted ROC curves, Janes and Pepe (Biometrika 2009), with a pooled model of
    the scores as in partial rank correlation.
    """
    ranks = stats.rankdata(scores)
    ranks -= ranks.mean()
    columns = [np.ones(len(ranks))]
    for covariate in covariates:
        centered = stats.rankdata(covariate)
        centered -= centered.mean()
        if np.ptp(centered) > 0:
            unit = centered / np.abs(centered).max()
            columns += [unit**power for power in range(1, degree + 1)]
    design = np.stack(columns, axis=1)
    left = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    spread = np.abs(ranks).max(initial=0.0)
    return left if np.abs(left).max(initial=0.0) > _ROUNDING * spread else np.zeros(len(ranks))


def area_lead(
    values: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Weighted area of scores (column 0) minus that of others (1), for 0/1 labels (column 2).

    A statistic for `audit.statistics.bootstrap.bootstrap_interval`; range [-1, 1].
    """
    own, other = (auroc(values[:, [column, 2]], weights) for column in (0, 1))
    return np.asarray(own - other)


def area_above_half(
    values: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """The same over constant scores, whose area is one half in every resample."""
    return np.asarray(auroc(values[:, [0, 2]], weights) - 0.5)
