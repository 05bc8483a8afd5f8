"""P203: does map quality follow accuracy over classes?"""

import dataclasses

import numpy as np
import pytest

from audit.result.finding import Verdict
from audit.statistics.correlation import (
    lengthening,
    reliability_of_shares,
    spearman_interval,
    spread_between,
)
from audit.statistics.power import pairs_to_clear, smallest_visible_effect
from principles.indifference import Zone
from principles.performance_alignment import p203_tracks_classes as p203
from principles.performance_alignment.classes import attenuated, class_tables
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
        smallest_visible_effect("correlation", CLASSES - 2, alpha=0.1)
    )  # two model-free maps are held fixed; the area is the same for all


def test_what_the_pictures_alone_explain_is_no_relation():
    """Classes that are seen easily are known better, and have edges and good maps as well."""
    edges = KNOWN + NOISE[3]
    plain = judged(KNOWN + NOISE[0])
    found = judged(edges + 20 * NOISE[0], faithful=KNOWN + 2 * edges + NOISE[1], edges=edges)
    assert plain.verdict is Verdict.PASS
    assert abs(found.statistics[0].value) < 0.4
    assert found.verdict is not Verdict.PASS


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
    assert "At the sizes seen" in found.summary


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
    assert "Harder data" in found.summary


def test_too_few_classes_or_pairs_of_a_class():
    few = judged(KNOWN + NOISE[0], labels=LABELS % 5)
    many = judged(KNOWN + NOISE[0], labels=np.arange(len(LABELS)) // 2)
    assert few.verdict is many.verdict is Verdict.INCONCLUSIVE
    assert "expected at least 8 classes with at least 3 pairs each" in few.summary
    assert "found 0" in many.summary
    assert "found 5" in few.summary
    assert "more kinds of objects" in many.summary


def test_why_no_maps_were_drawn_is_said():
    evidence = made({"audited": NOISE[0]}, CORRECT, labels=LABELS, per_picture=1)
    whole, none = evidence.class_pairs, np.arange(0)
    nothing = dict.fromkeys(("labels", "pairs", "right", "index", "cluster", "area"), none)
    empty = dataclasses.replace(whole, classes=(), ids=(), localization={}, **nothing)
    performance = dataclasses.replace(evidence.performance, lack="The model knows all.")
    reference = dataclasses.replace(evidence.reference, masks=np.ones((len(LABELS), 2, 2)))
    given = {"class_pairs": empty, "performance": performance, "reference": reference}
    found = p203.CHECK.finding(dataclasses.replace(evidence, **given))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.summary == "By localization nothing can be said: The model knows all."


def test_equal_quality_in_every_class_does_not_follow_accuracy():
    found = judged(np.zeros(len(LABELS)))
    assert found.verdict is Verdict.VIOLATION


def test_inconclusive_says_how_many_pairs_would_settle_it_while_there_are_more_classes():
    weak = KNOWN + 250 * NOISE[0]
    evidence = made(
        {"audited": weak, "faithful": KNOWN + NOISE[1], "random": NOISE[2], "edges": NOISE[3]},
        CORRECT,
        labels=LABELS,
        per_picture=1,
    )
    more = dataclasses.replace(evidence.class_pairs, available=100 * CLASSES)
    found = p203.CHECK.finding(dataclasses.replace(evidence, class_pairs=more))
    few = p203.CHECK.finding(evidence)
    assert found.verdict is few.verdict is Verdict.INCONCLUSIVE
    estimate, zone = found.statistics[0], Zone(found.statistics[0].none, found.statistics[0].clear)
    ends = estimate.interval.low, estimate.interval.high, estimate.interval.level
    wanted = pairs_to_clear(estimate.value, *ends, zone.end(estimate.value), len(LABELS))
    assert found.pairs_to_settle == wanted > len(LABELS)
    assert f"{found.pairs_to_settle:,} pairs would settle" in found.summary
    assert few.pairs_to_settle is None
    assert not few.more_pairs_help


def test_classes_are_put_together_as_in_a_loop():
    rng = np.random.default_rng(0)
    labels, correct, quality = rng.integers(0, 9, 40), rng.random(40) < 0.5, rng.random(40)
    evidence = made({"audited": quality}, correct, labels=labels, per_picture=1)
    given = [evidence.class_pairs, evidence.faithfulness, evidence.performance, evidence.reference]
    (found,) = class_tables(*given, evidence.roles, 4)
    for i, c in enumerate(found.labels):
        assert found.accuracy[i] == pytest.approx(correct[labels == c].mean())
        assert found.quality("audited")[i] == pytest.approx(quality[labels == c].mean())
    assert set(found.labels) == {c for c in range(9) if (labels == c).sum() >= 4}


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
        accuracy = np.bincount(labels, weights=correct) / each
        quality = np.bincount(labels, weights=rng.normal(size=len(labels)))
        votes.append(Zone(0.0, 0.5).decide(spearman_interval(quality, accuracy)))
    assert votes.count(Verdict.PASS) <= at_most(0.025, runs)


@pytest.mark.parametrize("n", [12, 40])
def test_the_smallest_visible_correlation_is_seen_as_often_as_stated(n):
    rng, runs = np.random.default_rng(n), 600
    r = 2 * np.sin(np.pi * smallest_visible_effect("correlation", n) / 6)
    x = rng.normal(size=(runs, n))
    y = r * x + np.sqrt(1 - r * r) * rng.normal(size=(runs, n))
    seen = np.mean([spearman_interval(a, b).above(0.0) for a, b in zip(x, y, strict=True)])
    assert 0.7 < seen < 0.9
