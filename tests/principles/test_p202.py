"""P202: are maps better where the model is right?"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from audit.result.finding import Verdict
from audit.statistics.power import smallest_visible_effect
from principles.performance_alignment import p202_tracks_samples as p202
from principles.performance_alignment.estimates import pair_margin, vote
from tests.principles.alignment import at_most, made

N = 120
CORRECT = np.arange(N) % 4 != 0
NOISE = np.random.default_rng(5).random((4, N))


def judged(audited, faithful=CORRECT + NOISE[1], random=NOISE[2], edges=NOISE[3], **given):
    quality = {"audited": audited, "faithful": faithful, "random": random, "edges": edges}
    given.setdefault("correct", CORRECT)
    return p202.CHECK.finding(made(quality, **given))


def test_better_maps_on_right_pairs_pass():
    found = judged(CORRECT + NOISE[0])
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].value == 1.0
    assert found.statistics[0].interval.low > 0.5
    assert "90 right and 30 wrong pairs" in found.summary


def test_better_maps_on_wrong_pairs_are_a_violation_with_a_right_pair_as_witness():
    found = judged(~CORRECT + NOISE[0])
    assert found.verdict is Verdict.VIOLATION
    assert CORRECT[int(found.witness.pair.removeprefix("pair-"))]
    assert found.witness.command.endswith(
        " --only P202 --out audit-report/see-again/P202 --no-history"
    )  # one pair alone settles nothing


def test_no_relation_is_inconclusive_and_says_how_many_pairs_it_takes():
    found = judged(NOISE[0])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "An area of 0.600 would need about" in found.summary
    assert 0.05 < found.statistics[0].smallest_visible_effect < 0.25


@pytest.mark.parametrize(
    ("controls", "why"),
    [
        ({"faithful": NOISE[1]}, "no faithful control tells right pairs from wrong ones"),
        ({"edges": CORRECT + NOISE[3]}, "the model-free control edges tells right pairs"),
    ],
)
@pytest.mark.parametrize("audited", [CORRECT + NOISE[0], ~CORRECT + NOISE[0]])
def test_controls_decide_whether_the_check_can_speak(controls, why, audited):
    found = judged(audited, **controls)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert why in found.summary


def test_a_control_under_audit_does_not_silence_the_check_about_itself():
    roles = made({"audited": NOISE[0]}).roles
    found = judged(~CORRECT + NOISE[0], roles=type(roles)(
        "audited", ("faithful",), ("audited", "random"), None, False, True, False
    ))  # fmt: skip
    assert found.verdict is Verdict.VIOLATION


@pytest.mark.parametrize(("wrong", "bound"), [(0, "more than"), (3, "about")])
def test_too_few_wrong_pairs_say_how_many_are_needed(wrong, bound):
    correct = np.arange(N) >= wrong
    found = judged(correct + NOISE[0], correct=correct)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert f"the model is wrong about {wrong} pair" in found.summary
    assert bound in found.summary


@pytest.mark.parametrize(("pictures", "verdict"), [(4, "inconclusive"), (24, "pass")])
def test_pairs_of_a_picture_are_no_independent_witnesses(pictures, verdict):
    """However many pairs: with two right pictures and two wrong ones chance parts them often."""
    each = 96 // pictures
    right = np.arange(96) // each % 2 == 0
    found = judged(
        right + NOISE[0, :96], right + NOISE[1, :96], NOISE[2, :96], NOISE[3, :96],
        correct=right, per_picture=each,
    )  # fmt: skip
    assert found.verdict.value == verdict
    if verdict == "inconclusive":
        assert "5 pictures with a right pair and 5 with a wrong one are the least" in found.summary
        assert found.pairs_to_settle == 96 * 5 / 2


def test_fills_that_do_not_agree_are_no_matter_of_pairs():
    good = {"audited": CORRECT + NOISE[0], "faithful": CORRECT + NOISE[1], "random": NOISE[2]}
    evidence = made(None, CORRECT, faithfulness=good)
    other = {name: np.random.default_rng(i).random(N) for i, name in enumerate(good)}
    faithfulness = replace(evidence.faithfulness, other_gaps=other, other_span=np.ones(N))
    found = p202.CHECK.finding(replace(evidence, faithfulness=faithfulness))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no number of pairs would settle it" in found.summary
    assert (found.pairs_to_settle, found.more_pairs_help) == (None, False)


def test_faithfulness_decides_where_there_are_no_masks_or_localization_cannot_speak():
    good = {"audited": CORRECT + NOISE[0], "faithful": CORRECT + NOISE[1], "random": NOISE[2]}
    evidence = made(None, CORRECT, faithfulness=good)
    assert p202.CHECK.finding(evidence).verdict is Verdict.PASS
    mute = {name: NOISE[i] for i, name in enumerate(good)}
    evidence = made(mute, CORRECT, faithfulness=good)
    found = p202.CHECK.finding(evidence)
    assert found.verdict is Verdict.PASS
    assert found.detail[0].startswith("By localization nothing can be said")


def test_localization_decides_before_faithfulness():
    good = {"audited": CORRECT + NOISE[0], "faithful": CORRECT + NOISE[1], "random": NOISE[2]}
    bad = {**good, "audited": ~CORRECT + NOISE[0]}
    evidence = made(good, CORRECT, faithfulness=bad)
    found = p202.CHECK.finding(evidence)
    assert found.verdict is Verdict.PASS
    areas = [s.value for s in found.statistics if s.name.startswith("area")]
    assert areas == [1.0, 0.0]


def test_a_single_pair_and_nothing_measured_are_inconclusive():
    alone = made({"audited": NOISE[0, :1]})
    assert p202.CHECK.finding(alone).verdict is Verdict.INCONCLUSIVE
    none = made({"other": NOISE[0]})
    assert p202.CHECK.finding(none).verdict is Verdict.INCONCLUSIVE


def test_pairs_without_a_value_are_left_out():
    audited = CORRECT + NOISE[0]
    audited[:4] = np.nan
    assert "87 right and 29 wrong" not in judged(CORRECT + NOISE[0]).summary
    assert "87 right and 29 wrong" in judged(audited).summary


def test_a_pair_is_right_if_its_class_outranks_every_absent_one():
    reference = made({"audited": NOISE[0]}, CORRECT).reference
    slow = [
        all(
            reference.scores[p, reference.labels[i]] > reference.scores[p, c]
            for c in range(len(reference.classes))
            if not reference.present[p, c]
        )
        for i, p in enumerate(reference.picture)
    ]
    assert (pair_margin(reference) > 0).tolist() == slow == CORRECT.tolist()


def test_without_a_relation_wrong_verdicts_stay_at_the_stated_rate(monkeypatch):
    monkeypatch.setattr(p202, "RESAMPLES", 200)
    rng, runs, n = np.random.default_rng(1), 2000, 60
    picture, votes = np.arange(n) // 2, []
    for _ in range(runs):
        shared = rng.normal(size=n // 2)[picture]  # the pairs of a picture are alike
        correct = rng.normal(size=n) + rng.normal(size=n // 2)[picture] > -0.8
        correct[:2] = True, False
        votes.append(vote(p202.area(shared + rng.normal(size=n), correct, picture), 0.5))
    assert votes.count(Verdict.PASS) <= at_most(0.025, runs)
    assert votes.count(Verdict.VIOLATION) <= at_most(0.025, runs)


def test_the_smallest_visible_effect_is_seen_as_often_as_stated(monkeypatch):
    monkeypatch.setattr(p202, "RESAMPLES", 200)
    rng, runs, n = np.random.default_rng(2), 200, 150
    correct = np.arange(n) % 3 != 0
    effect = smallest_visible_effect("auroc", n, base=correct.mean())
    shift = np.sqrt(2) * stats.norm.ppf(0.5 + effect)
    areas = [
        p202.area(rng.normal(size=n) + shift * correct, correct, np.arange(n)) for _ in range(runs)
    ]
    assert 0.68 < np.mean([a.above(0.5) for a in areas]) < 0.88
