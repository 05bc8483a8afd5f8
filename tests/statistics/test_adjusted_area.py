"""Areas of several scores over the same resamples, against scikit-learn on repeated pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.statistics.adjusted_area import area_draws
from audit.statistics.bootstrap import bootstrap_draws, draw_weights


@pytest.mark.parametrize("each", [1, 3])
def test_each_draw_is_scikit_learns_area_of_the_drawn_pairs(each):
    """Scores with ties, pictures of one or more pairs, every draw by itself."""
    rng = np.random.default_rng(each)
    pictures = np.repeat(np.arange(30), each)
    labels = rng.random(len(pictures)) > 0.4
    scores = {name: rng.integers(0, 9, len(pictures)) / 7 for name in ("mine", "edges")}
    found = area_draws(
        scores, labels, clusters=pictures, rng=np.random.default_rng(7), resamples=40
    )
    weights = draw_weights(30, 40, np.random.default_rng(7))[:, pictures].astype(int)
    for name, values in scores.items():
        assert found[name].value == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
        wanted = [roc_auc_score(labels.repeat(w), values.repeat(w)) for w in weights]
        np.testing.assert_allclose(found[name].drawn, wanted, atol=1e-12)


def test_a_lead_is_paired():
    """What both scores share takes no part in the interval of their difference."""
    rng = np.random.default_rng(0)
    labels = rng.random(200) > 0.5
    common = rng.normal(size=200) + labels
    scores = {"mine": common + 0.01 * rng.normal(size=200), "other": common}
    found = area_draws(scores, labels, rng=np.random.default_rng(0), resamples=500)
    lead = found["mine"] - found["other"]
    assert lead.value == found["mine"].value - found["other"].value
    assert lead.drawn.std() < 0.1 * found["mine"].drawn.std()
    own = (found["mine"] - found["mine"]).interval(0.95)
    assert (own.value, own.low, own.high) == (0.0, 0.0, 0.0)


def test_one_picture_has_no_draws():
    found = area_draws(
        {"mine": np.arange(4.0)},
        np.arange(4) > 1,
        clusters=np.zeros(4),
        rng=np.random.default_rng(0),
        resamples=10,
    )["mine"]
    assert (found.value, len(found.drawn), found.n) == (1.0, 0, 1)
    assert bootstrap_draws(np.ones(3), clusters=np.zeros(3), rng=np.random.default_rng(0)).n == 1
