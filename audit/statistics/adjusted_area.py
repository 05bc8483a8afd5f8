"""The area under the ROC curve that is left of scores when covariates are held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import stats

from audit.statistics.bootstrap import Draws, Statistic, joint_draws
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


def area_draws(
    scores: Mapping[str, Float[np.ndarray, " n"]],
    labels: Bool[np.ndarray, " n"],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Draws]:
    """The area of each of several scores for the same labels, over the same resamples.

    Args:
        scores: by name.
        labels: what they are to tell apart.
        clusters: see `audit.statistics.bootstrap.bootstrap_interval`.
        rng: source of the draws.
        resamples: number of draws.
    """
    values = np.stack([*scores.values(), labels], 1)

    def area(column: int) -> Statistic:
        return lambda rows, weights: auroc(rows[:, [column, -1]], weights)

    areas = {name: area(column) for column, name in enumerate(scores)}
    return joint_draws(values, areas, clusters=clusters, rng=rng, resamples=resamples)
