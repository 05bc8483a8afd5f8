"""Sufficiency and comprehensiveness of the most relevant patches, read off removal curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from audit.metrics.faithfulness import Curves
from audit.metrics.perturbation import patch_counts

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Rationale:
    """Sufficiency (lower is better) and comprehensiveness (higher is better), per pair."""

    sufficiency: Float[Tensor, " n"]
    comprehensiveness: Float[Tensor, " n"]


def rationale_fractions(bins: Sequence[float], patches: int) -> list[float]:
    """The fractions that `rationale` reads, to be among those of any curves that also serve it."""
    tops = [count / patches for count in _tops(bins, patches)]
    return sorted({*tops, *(1 - top for top in tops)})


def rationale(curves: Curves, patches: int, bins: Sequence[float] = BINS) -> Rationale:
    """What the score loses when only the top patches stay, and when the top patches go.

    Read off curves that were scored for deletion and insertion too, at no pass more. Sufficiency is
    the mean over bins of f(x) - f(only the top), comprehensiveness that of f(x) - f(all but the
    top). Range: that of score differences; for sufficiency lower is better, for comprehensiveness
    higher is better. Chance: that of a random map; both orders of a constant
    map give the same curve. A bin below one patch stands for one patch. Pitfalls: what stays of a
    small bin is far from any picture. Source: DeYoung et al., ERASER (ACL 2020); not the
    "Sufficiency" of Dasgupta et al. (2022) that Quantus has under this name.

    Args:
        curves: scored at `rationale_fractions`, or at every count (`adaptive_curves`).
        patches: number of patches of the maps.
        bins: shares of the patches that make a rationale.

    Raises:
        ValueError: a count of patches that a bin stands for was not scored.
    """
    counts = (curves.removed * patches).round().long().tolist()
    tops = _tops(bins, patches)
    missing = {*tops, *(patches - k for k in tops)} - set(counts)
    if missing:
        raise ValueError(
            f"expected curves scored at {sorted(missing)} of {patches} removed patches too, got "
            f"{counts}; add rationale_fractions(bins, {patches}) to their fractions"
        )
    alone = curves.lerf[:, [counts.index(patches - k) for k in tops]]
    without = curves.morf[:, [counts.index(k) for k in tops]]
    return Rationale(curves.full - alone.mean(-1), curves.full - without.mean(-1))


def _tops(bins: Sequence[float], patches: int) -> list[int]:
    return [min(max(k, 1), patches - 1) for k in patch_counts(bins, patches)]
