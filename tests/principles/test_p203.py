"""P203: does map quality follow accuracy over classes?"""

import numpy as np
import pytest

from audit.result.finding import Verdict
from audit.result.wording import number
from audit.statistics.correlation import (
    lengthening,
    reliability_of_shares,
    spearman_interval,
    spread_between,
)
from audit.statistics.power import smallest_visible_effect
from principles.indifference import Zone
from principles.performance_alignment import p203_tracks_classes as p203
from principles.performance_alignment.classes import attenuated, by_class, pairs_for_correlation
from tests.principles.alignment import at_most, made

CLASSES, EACH = 20, 12
LABELS = np.tile(np.arange(CLASSES), EACH)
ROUND = np.repeat(np.arange(EACH), CLASSES)
KNOWN = LABELS // 2 + 1  # right pairs of the class's twelve
CORRECT = ROUND < KNOWN
NOISE = 0.1 * np.random.default_rng(3).normal(size=(4, len(LABELS)))


def judged(audited, faithful=KNOWN + NOISE[1], random=NOISE[2], edges=NOISE[3], **given):
    quality = {"audited": audited, "faithful": faithful, "random": random, "edges": edges}
    given = {"correct": CORRECT, "labels": LABELS, "per_picture": 1, **given}
    return p203.CHECK.finding(made(quality, **given))


def test_better_maps_of_better_known_classes_pass():
    found = judged(KNOWN + NOISE[0])
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].n == CLASSES
    assert found.statistics[0].smallest_visible_effect == pytest.approx(
        smallest_visible_effect("correlation", CLASSES, alpha=0.1)
    )


def test_worse_maps_of_better_known_classes_are_a_violation():
    found = judged(NOISE[0] - KNOWN)
    assert found.verdict is Verdict.VIOLATION
    assert LABELS[int(found.witness.pair.removeprefix("pair-"))] == 0  # unknown, and the best map


def test_no_relation_over_enough_classes_is_a_violation_and_over_few_says_what_it_takes():
    assert judged(NOISE[0]).verdict is Verdict.VIOLATION
    few = LABELS < 9
    given = {"correct": CORRECT[few], "labels": LABELS[few], "faithful": KNOWN[few] + NOISE[1, few]}
    given |= {"random": NOISE[2, few], "edges": NOISE[3, few]}
    found = judged(NOISE[0, few], **given)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "could have been seen" in found.summary


def test_noise_of_counting_alone_accuses_nobody():
    """Few pairs tell a class's accuracy so badly that a clear relation may look like none."""
    reliable = (0.1, 0.9)
    assert attenuated(0.5, reliable) == pytest.approx(0.15)
    assert attenuated(0.5, (np.nan, -1.0)) == pytest.approx(0.5 * 0.05)


@pytest.mark.parametrize(
    ("controls", "why"),
    [
        ({"faithful": NOISE[1]}, "no faithful control follows accuracy"),
        ({"random": KNOWN + NOISE[2]}, "the model-free control random follows accuracy"),
    ],
)
def test_controls_decide_whether_the_check_can_speak(controls, why):
    found = judged(NOISE[0] - KNOWN, **controls)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert why in found.summary


def test_classes_that_are_all_known_say_more_pairs():
    found = judged(KNOWN + NOISE[0], correct=np.ones(len(LABELS), bool))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the accuracy of every class is 100.0 %" in found.summary
    assert "More than 240 pairs" in found.summary


def test_too_few_classes_or_pairs_of_a_class():
    few = judged(KNOWN + NOISE[0], labels=LABELS % 5)
    many = judged(KNOWN + NOISE[0], labels=np.arange(len(LABELS)) // 2)
    assert few.verdict is many.verdict is Verdict.INCONCLUSIVE
    assert "number 5, 8 are the least" in few.summary
    assert "number 0, 8 are the least" in many.summary
    assert "more kinds of objects are needed" in few.summary
    assert "About 360 pairs would do" in many.summary  # two a class here, three are wanted


def test_equal_quality_in_every_class_does_not_follow_accuracy():
    found = judged(np.zeros(len(LABELS)))
    assert found.verdict is Verdict.VIOLATION


def test_inconclusive_says_what_could_be_seen_and_what_would_settle_it():
    weak = 0.35 * KNOWN + 6 * NOISE[0] * 10
    found = judged(weak, faithful=KNOWN + NOISE[1])
    assert found.verdict is Verdict.INCONCLUSIVE
    smallest = smallest_visible_effect("correlation", CLASSES, alpha=0.1)
    assert f"a true rank correlation of {number(smallest)} could have been seen" in found.summary
    assert found.pairs_to_settle > len(LABELS)
    assert f"{found.pairs_to_settle:,} pairs would settle" in found.summary
    assert found.more_pairs_help


def test_classes_that_are_known_well_are_settled_by_more_classes_only():
    rng = np.random.default_rng(0)
    order = np.argsort(0.5 * np.arange(CLASSES) + 6 * rng.normal(size=CLASSES)).argsort()
    found = judged(order[LABELS] + NOISE[0])
    assert 0.05 < abs(found.statistics[0].value) < 0.4
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.pairs_to_settle is None
    assert not found.more_pairs_help
    assert "No number of pairs of these classes would settle" in found.summary
    assert "classes would." in found.summary


def test_so_many_more_pairs_settle_as_often_as_stated():
    """Classes whose accuracies and qualities are measured with noise, and then with less."""
    rng, n, runs, r = np.random.default_rng(2), 30, 400, 0.75
    noise = np.array([2.0, 1.0])  # variances over the true ones, of accuracy and quality
    reliable = 1 / (1 + noise)
    seen = r * np.sqrt(reliable.prod())
    times = pairs_for_correlation(seen, reliable.tolist(), n, 0.05)
    assert times > 1
    settled = 0
    for _ in range(runs):
        x = rng.normal(size=n)
        y = r * x + np.sqrt(1 - r * r) * rng.normal(size=n)
        a, b = (
            v + np.sqrt(s / times) * rng.normal(size=n) for v, s in zip((x, y), noise, strict=True)
        )
        settled += spearman_interval(a, b).above(0.0)
    assert 0.7 < settled / runs < 0.9
    assert pairs_for_correlation(0.1, [1.0, 1.0], n, 0.05) == np.inf
    assert pairs_for_correlation(0.9, [0.9, 0.9], n, 0.05) == 1.0


def test_by_class_against_a_loop():
    rng = np.random.default_rng(0)
    labels, correct, quality = rng.integers(0, 9, 40), rng.random(40) < 0.5, rng.random(40)
    found = by_class(labels, {"a": quality}, 4, labels, correct)
    for i, c in enumerate(found.index):
        assert found.accuracy[i] == pytest.approx(correct[labels == c].mean())
        assert found.quality["a"][i] == pytest.approx(quality[labels == c].mean())
    assert set(found.index) == {c for c in range(9) if (labels == c).sum() >= 4}


def test_reliability_is_that_of_simulated_shares():
    rng = np.random.default_rng(1)
    truth, counts = rng.beta(2, 2, 4000), np.full(4000, 6)
    right = rng.binomial(6, truth)
    expected = truth.var() / (right / 6).var()
    assert reliability_of_shares(right, counts) == pytest.approx(expected, abs=0.03)
    assert abs(reliability_of_shares(rng.binomial(6, 0.5, 4000), counts)) < 0.06
    assert np.isnan(reliability_of_shares(counts, counts))


def test_lengthening_reaches_the_wanted_reliability():
    times = lengthening(0.3, 0.8)
    assert times * 0.3 / (1 + (times - 1) * 0.3) == pytest.approx(0.8)
    assert lengthening(-0.2, 0.8) == np.inf
    assert lengthening(1.0, 0.8) == 0.0


def test_spread_between_clusters_against_a_loop():
    values, clusters = np.array([1.0, 3.0, np.nan, 5.0, 8.0]), np.array([0, 0, 1, 2, 4])
    assert spread_between(values, clusters) == (pytest.approx(np.std([2.0, 5.0, 8.0], ddof=1)), 3)
    assert np.isnan(spread_between(values[:2], clusters[:2])[0])


def test_a_perfect_correlation_has_an_interval_with_width():
    found = spearman_interval(np.arange(8), np.arange(8))
    assert found.value == pytest.approx(1.0)
    assert 0.6 < found.low < found.high <= 1
    assert np.isnan(spearman_interval(np.arange(4), np.arange(4)).low)
    assert np.isnan(spearman_interval(np.zeros(9), np.arange(9)).value)


@pytest.mark.parametrize(("classes", "each"), [(8, 4), (30, 5)])
def test_without_a_relation_wrong_verdicts_stay_at_the_stated_rate(classes, each):
    rng, runs, votes = np.random.default_rng(classes), 2000, []
    labels = np.repeat(np.arange(classes), each)
    for _ in range(runs):  # many classes are always right: ties in accuracy
        correct = rng.random(len(labels)) < rng.choice([0.6, 0.9, 1.0], classes)[labels]
        found = by_class(labels, {"a": rng.normal(size=len(labels))}, 3, labels, correct)
        votes.append(Zone(0.0, 0.5).decide(spearman_interval(found.quality["a"], found.accuracy)))
    assert votes.count(Verdict.PASS) <= at_most(0.025, runs)


@pytest.mark.parametrize("n", [12, 40])
def test_the_smallest_visible_correlation_is_seen_as_often_as_stated(n):
    rng, runs = np.random.default_rng(n), 600
    r = 2 * np.sin(np.pi * smallest_visible_effect("correlation", n) / 6)
    x = rng.normal(size=(runs, n))
    y = r * x + np.sqrt(1 - r * r) * rng.normal(size=(runs, n))
    seen = np.mean([spearman_interval(a, b).above(0.0) for a, b in zip(x, y, strict=True)])
    assert 0.7 < seen < 0.9
