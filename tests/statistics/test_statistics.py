from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from audit import statistics as s
from tests.oracles import oracle


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def holds(hits, trials, rate):
    """Whether a count is what a rate allows, erring once in a thousand."""
    return stats.binomtest(hits, trials, rate).pvalue > 1e-3


def test_units_that_say_the_same_five_times_say_it_once():
    rng = np.random.default_rng(0)
    scores, labels = np.r_[rng.random(6), 1 + rng.random(6)], np.arange(12) > 5
    once = s.auroc_with_interval(
        scores, labels, clusters=np.arange(12), rng=np.random.default_rng(1)
    )
    again = s.auroc_with_interval(
        scores.repeat(5), labels.repeat(5), clusters=np.arange(12).repeat(5),
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert (once.value, once.low, once.high) == (again.value, again.low, again.high)


def test_percentile_interval_is_that_of_a_loop(rng):
    values = rng.normal(size=30)
    found = s.bootstrap_interval(values, rng=np.random.default_rng(1), resamples=4000)
    draws = [rng.choice(values, 30).mean() for _ in range(4000)]
    spread = math.sqrt(30 / 29) * stats.t.ppf(0.025, 29)
    wanted = np.quantile(draws, [stats.norm.cdf(spread), stats.norm.cdf(-spread)])
    np.testing.assert_allclose([found.low, found.high], wanted, atol=0.05)
    assert found.value == pytest.approx(values.mean())


def test_clusters_are_drawn_whole(rng):
    values = np.repeat(rng.normal(size=25), 8)
    clusters = np.repeat([f"picture {i:02}" for i in range(25)], 8)
    clustered = s.bootstrap_interval(values, clusters=clusters, rng=np.random.default_rng(1))
    single = s.bootstrap_interval(values[::8], rng=np.random.default_rng(1))
    naive = s.bootstrap_interval(values, rng=np.random.default_rng(1))
    assert (clustered.low, clustered.high, clustered.n) == pytest.approx(
        (single.low, single.high, 25)
    )
    assert naive.high - naive.low < 0.5 * (clustered.high - clustered.low)


def test_nan_is_dropped_and_counted_and_one_cluster_has_no_interval(rng):
    found = s.bootstrap_interval(np.array([1.0, np.nan, 3.0]), rng=rng)
    assert (found.value, found.n, found.dropped) == (2.0, 2, 1)
    lonely = s.bootstrap_interval(np.array([1.0, 2.0]), clusters=np.array([0, 0]), rng=rng)
    assert math.isnan(lonely.low)
    assert not lonely.above(0.0)
    assert not lonely.below(9.0)
    with pytest.raises(ValueError, match="not NaN"):
        s.bootstrap_interval(np.array([np.nan]), rng=rng)


def test_ratio_of_means_is_not_a_mean_of_ratios(rng):
    values = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])
    assert s.bootstrap_interval(values, s.ratio_of_means, rng=rng).value == pytest.approx(4 / 7)


def test_same_seed_same_bytes(rng):
    values = rng.normal(size=50)
    once, again = (s.bootstrap_interval(values, rng=np.random.default_rng(3)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("n", [8, 40])
def test_intervals_of_a_mean_cover_it(n):
    rng = np.random.default_rng(n)
    found = [s.bootstrap_interval(rng.normal(1, 2, n), rng=rng, resamples=400) for _ in range(400)]
    share = np.mean([f.low <= 1 <= f.high for f in found])
    assert 0.88 < share < 0.98


def test_sign_flips_are_exact_for_few_pairs(rng):
    a, b = rng.normal(0.5, 1, 9), rng.normal(size=9)
    found = s.paired_difference(a, b, rng=rng)
    wanted = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.value == pytest.approx((a - b).mean())
    many = s.paired_difference(rng.normal(0.4, 1, 60), np.zeros(60), rng=rng)
    assert many.p < 0.05
    assert many.above(0.0) == (many.low > 0)


def test_sign_flip_test_keeps_its_rate_with_clusters():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        values = np.repeat(rng.normal(size=10), 4) + rng.normal(size=40)
        clusters = np.repeat(np.arange(10), 4)
        p.append(s.paired_difference(values, 0 * values, clusters=clusters, rng=rng, resamples=2).p)
    assert holds(sum(x <= 0.05 for x in p), 300, 0.05)


def test_area_by_permutation_is_mann_whitney_where_units_are_independent(rng):
    labels = np.arange(40) % 3 == 0
    scores = rng.normal(size=40) + 0.5 * labels
    found = s.auroc_permutation(scores, labels, rng=rng, permutations=20_000)
    wanted = stats.mannwhitneyu(scores[labels], scores[~labels], method="exact").pvalue
    assert found == pytest.approx(wanted, abs=0.015)
    apart = s.auroc_permutation(labels + 0.1 * scores, labels, rng=rng, permutations=99)
    assert apart == 1 / 100  # never zero
    assert s.auroc_permutation(scores, np.ones(40, bool), rng=rng, permutations=99) == 1


def test_area_by_permutation_keeps_its_rate_with_clusters():
    """Pictures of one to three pairs whose quality and correctness are alike, each for itself."""
    rng, p, wrong = np.random.default_rng(0), [], []
    clusters = np.repeat(np.arange(40), 1 + np.arange(40) % 3)
    for _ in range(400):
        shared = rng.normal(size=(2, 40))[:, clusters]
        scores, right = 2 * shared + rng.normal(size=shared.shape)
        given = {"rng": rng, "permutations": 199}
        p.append(s.auroc_permutation(scores, right > 0, clusters=clusters, **given))
        wrong.append(s.auroc_permutation(scores, right > 0, **given))
    assert holds(sum(x <= 0.05 for x in p), 400, 0.05)
    assert sum(x <= 0.05 for x in wrong) > 40  # pairs of a picture are not independent


def test_wilson_interval():
    found = s.proportion_interval(7, 10)
    np.testing.assert_allclose([found.low, found.high], [0.3968, 0.8922], atol=1e-4)
    assert s.proportion_interval(0, 10).low == 0
    with pytest.raises(ValueError, match=r"k|n"):
        s.proportion_interval(3, 0)


def test_paired_proportions_are_square_and_add():
    for cells, wanted in (
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # negative correlation: as it is
        ((20, 12, 2, 16), (0.0562, 0.3292)),  # positive: corrected for continuity
        ((0, 0, 0, 54), (-0.0664, 0.0664)),  # none defined: Wilson's own width
    ):
        a = np.repeat([True, True, False, False], cells)
        b = np.repeat([True, False, True, False], cells)
        found = s.paired_proportion_difference(a, b)
        np.testing.assert_allclose([found.low, found.high], wanted, atol=6e-4)
        assert found.value == pytest.approx(a.mean() - b.mean())


def test_mcnemar_is_exact_and_intervals_cover():
    a, b = np.repeat([True, False, True], [9, 2, 20]), np.repeat([False, True, True], [9, 2, 20])
    assert s.paired_proportion_difference(a, b).p == pytest.approx(stats.binomtest(2, 11).pvalue)
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(500):
        u = rng.random((2, 80))
        x, y = u[0] < 0.8, np.where(u[1] < 0.7, u[0] < 0.7, rng.random(80) < 0.7)
        found = s.paired_proportion_difference(x, y)
        hits += found.low <= 0.1 <= found.high
    assert 0.92 < hits / 500 < 0.985


def loop_spearman_p(x, y, families):
    value, count, total = abs(stats.spearmanr(x, y)[0]), 0, 0
    for order in itertools.permutations(range(len(x))):
        if all(families[i] == families[j] for i, j in enumerate(order)):
            total += 1
            count += abs(stats.spearmanr(x, y[list(order)])[0]) >= value - 1e-12
    return count / total


@pytest.mark.parametrize("families", ["aaaaaa", "aaabbb", "abcabc"])
def test_permutation_p_is_that_of_a_loop(families, rng):
    x, y = rng.integers(0, 4, 6).astype(float), rng.normal(size=6)
    found = s.spearman_permutation(x, y, families=list(families), rng=rng)
    assert found.value == pytest.approx(stats.spearmanr(x, y)[0])
    assert found.p == pytest.approx(loop_spearman_p(x, y, families))


def test_random_permutations_stay_in_their_families(rng):
    families = ["a"] * 12 + ["b"] * 12
    shift = np.repeat([0.0, 10.0], 12)
    x, y = rng.normal(size=24) + shift, rng.normal(size=24) + shift
    assert s.spearman_permutation(x, y, rng=rng).p < 0.001
    assert s.spearman_permutation(x, y, families=families, rng=rng).p > 0.01
    tied = s.spearman_permutation(x + rng.normal(size=24), np.ones(24), rng=rng)
    assert math.isnan(tied.value)
    assert math.isnan(tied.p)


def test_permutation_test_keeps_its_rate_within_families():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        shift = np.repeat(rng.normal(0, 3, 3), 5)
        x, y = rng.normal(size=15) + shift, rng.normal(size=15) + shift
        families = list("aaaaabbbbbccccc")
        p.append(s.spearman_permutation(x, y, families=families, rng=rng, permutations=199).p)
    assert holds(sum(x <= 0.05 for x in p), 300, 0.05)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=30))
@settings(deadline=None, max_examples=40)
def test_auroc_is_that_of_scikit_learn(units):
    scores, labels = np.array([float(x) for x, _ in units]), np.array([y for _, y in units])
    rng = np.random.default_rng(0)
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="both classes"):
            s.auroc_with_interval(scores, labels, rng=rng, resamples=10)
        return
    found = s.auroc_with_interval(scores, labels, rng=rng, resamples=50)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.low <= found.value <= found.high


def test_weighted_auroc_is_that_of_repeated_units(rng):
    scores, labels = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.4
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=5)
    found = s.auroc(np.stack([scores, labels], 1), counts.astype(float))
    wanted = [roc_auc_score(np.repeat(labels, c), np.repeat(scores, c)) for c in counts]
    np.testing.assert_allclose(found, wanted)


def test_auroc_interval_has_width_where_classes_separate_and_covers():
    rng = np.random.default_rng(0)
    parted = s.auroc_with_interval(np.arange(12.0), np.arange(12) > 5, rng=rng)
    assert parted.value == 1
    assert 0.5 < parted.low < 0.85
    hits = 0
    for _ in range(200):
        labels = rng.random(60) < 0.7
        found = s.auroc_with_interval(rng.normal(size=60) + labels, labels, rng=rng, resamples=200)
        hits += found.low <= stats.norm.cdf(1 / math.sqrt(2)) <= found.high
    assert 0.91 < hits / 200 <= 1


@given(st.lists(st.floats(0, 1), max_size=20))
@settings(deadline=None, max_examples=60)
def test_holm_is_the_smallest_level_that_rejects(p_values):
    """By the definition: with m left, reject the smallest while it is at or below alpha/m."""
    found = s.holm(np.array(p_values))
    worst, wanted = 0.0, {}
    for done, i in enumerate(np.argsort(p_values, kind="stable")):
        worst = max(worst, min((len(p_values) - done) * p_values[i], 1.0))
        wanted[int(i)] = worst
    assert found.tolist() == [wanted[i] for i in range(len(p_values))]


def test_holm_steps_down_and_keeps_the_familywise_rate():
    np.testing.assert_allclose(
        s.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02]
    )
    assert s.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="p-values"):
        s.holm(np.array([0.1, np.nan]))
    rng = np.random.default_rng(0)
    errors = sum((s.holm(rng.random(6)) <= 0.05).any() for _ in range(1000))
    assert errors / 1000 < 0.075


@pytest.mark.parametrize(
    ("kind", "n", "base"),
    [("mean", 25, 1.0), ("proportion", 60, 0.3), ("correlation", 20, 0.0), ("auroc", 80, 0.4)],
)
def test_smallest_effect_is_seen_four_times_in_five(kind, n, base):
    rng = np.random.default_rng(0)
    effect = s.smallest_visible_effect(kind, n, base=base)
    seen = 0
    for _ in range(400):
        if kind == "mean":
            seen += stats.ttest_1samp(rng.normal(effect, 1, n), 0).pvalue < 0.05
        elif kind == "proportion":
            z = (rng.binomial(n, base + effect) / n - base) / math.sqrt(base * (1 - base) / n)
            seen += abs(z) > 1.96
        elif kind == "correlation":
            r = 2 * math.sin(effect * math.pi / 6)  # Pearson's, for this Spearman correlation
            x = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], n)
            seen += stats.spearmanr(x[:, 0], x[:, 1]).pvalue < 0.05
        else:
            labels = np.arange(n) < base * n
            shift = math.sqrt(2) * stats.norm.ppf(0.5 + effect)
            x = rng.normal(size=n) + shift * labels
            seen += stats.mannwhitneyu(x[labels], x[~labels]).pvalue < 0.05
    assert 0.72 < seen / 400 < 0.88


def test_holm_is_that_of_statsmodels():
    multipletests = oracle("statsmodels.stats.multitest").multipletests
    rng = np.random.default_rng(3)
    for count in (1, 2, 5, 15):
        p = rng.random(count) ** 3
        assert s.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@pytest.mark.parametrize("n", [10, 25, 100, 400])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_smallest_mean_is_that_of_statsmodels(n, alpha):
    power = oracle("statsmodels.stats.power").TTestPower()
    wanted = power.solve_power(nobs=n, alpha=alpha, power=0.8)
    assert s.smallest_visible_effect("mean", n, alpha=alpha) == pytest.approx(wanted, rel=0.03)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=4, max_size=40))
@settings(deadline=None, max_examples=30)
def test_auroc_is_that_of_torchmetrics(units):
    classification = oracle("torchmetrics.functional.classification")
    scores = np.array([x / 20 for x, _ in units])
    labels = np.array([y for _, y in units])
    assume(labels.any() and not labels.all())
    found = s.auroc(np.stack([scores, labels], 1), np.ones((1, len(units))))
    wanted = classification.binary_auroc(torch.tensor(scores), torch.tensor(labels).long())
    assert found[0] == pytest.approx(float(wanted), abs=1e-6)


def test_power_knows_what_cannot_be_seen():
    assert s.smallest_visible_effect("mean", 1) == math.inf
    assert s.smallest_visible_effect("correlation", 4) == math.inf
    assert s.smallest_visible_effect("paired-proportion", 5, base=0.1) == math.inf
    assert s.pairs_needed(0.0) is None
    with pytest.raises((ValueError, TypeError), match="kind"):
        s.smallest_visible_effect("variance", 10)


@pytest.mark.parametrize(
    "kind", ["mean", "proportion", "paired-proportion", "correlation", "auroc"]
)
def test_pairs_needed_undoes_the_smallest_effect(kind):
    n = s.pairs_needed(0.2, kind, base=0.3)
    assert s.smallest_visible_effect(kind, n, base=0.3) <= 0.2
    assert s.smallest_visible_effect(kind, n - 1, base=0.3) > 0.2
