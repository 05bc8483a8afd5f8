"""How much evidence each profile gathers."""

from __future__ import annotations

from audit.evidence.context import Sizes

SIZES = {
    "quick": Sizes(
        traced=3,
        probed=8,
        ladder_seeds=1,
        reparametrized=8,
        randomized=8,
        randomizations=1,
        affected=24,
        repeated=4,
    ),
    "default": Sizes(),
    "full": Sizes(
        traced=12,
        probed=96,
        rungs=100,
        ladder_seeds=3,
        graded=("weight-noise", "interpolation", "removed-heads"),
        reparametrized=32,
        randomized=32,
        randomizations=4,
        affected=160,
        repeated=12,
    ),
}
