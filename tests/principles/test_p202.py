"""P202: are maps better where the model is right, beyond what model-free maps show?"""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from audit.result.finding import Verdict
from principles.performance_alignment import p202_tracks_samples as p202
from principles.performance_alignment import sample_leads
from principles.performance_alignment.sample_leads import leads
from principles.performance_alignment.sample_tables import sample_tables
from tests.principles.alignment import ROLES, at_most, made

N = 160
ZONE = {"none": p202.Limits().none, "zone": p202.Limits().zone}
CORRECT = np.arange(N) % 2 != 0
NOISE = np.random.default_rng(5).random((4, N))


def quality(audited, faithful=CORRECT + NOISE[1], random=NOISE[2], edges=NOISE[3]):
    return {"audited": audited, "faithful": faithful, "random": random, "edges": edges}


def judged(audited, *, thresholds=None, **given):
    controls = {n: given.pop(n) for n in ("faithful", "random", "edges") if n in given}
    given.setdefault("correct", CORRECT)
    evidence = made(quality(audited, **controls), **given)
    return p202.CHECK.finding(evidence, p202.CHECK.limits(thresholds))


def test_better_maps_on_right_pairs_pass():
    found = judged(CORRECT + NOISE[0])
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].interval.low > found.statistics[0].none == 0
    assert "80 right and 80 wrong pairs" in found.summary
    leads = {s.name.rpartition(" over ")[2] for s in found.statistics if s.name.startswith("lead")}
    assert leads == {"no relation", "random", "edges"}


def test_better_maps_on_wrong_pairs_are_a_violation_with_a_right_pair_as_witness():
    found = judged(~CORRECT + NOISE[0])
    assert found.verdict is Verdict.VIOLATION
    assert CORRECT[int(found.witness.pair.removeprefix("pair-"))]
    assert found.witness.command.endswith(
        " --only P202 --out audit-report/see-again/P202 --no-history"
    )  # one pair alone settles nothing


def test_no_relation_is_a_violation_where_there_are_enough_pairs():
    """An area of one half is less than the least that counts: no threshold is left undecided."""
    n = 1200
    rng, right = np.random.default_rng(0), np.arange(n) % 2 == 0
    table = quality(rng.random(n), right + rng.random(n), rng.random(n), rng.random(n))
    found = p202.CHECK.finding(made(table, right))
    assert found.verdict is Verdict.VIOLATION
    few = {name: values[:40] for name, values in table.items()}
    found = p202.CHECK.finding(made(few, right[:40]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "pairs would settle it" in found.summary


MANY = 800
EASE, BLUR, ROUGH, OTHER, AGAIN = np.random.default_rng(8).normal(size=(5, MANY))
BY_EASE = EASE + BLUR > 0
CONTROLS = {"correct": BY_EASE, "random": OTHER, "faithful": BY_EASE + 0.5 * ROUGH}


def test_maps_that_follow_the_ease_of_pictures_alone_do_not_pass():
    """Where pictures are easy the model is right, and edges lie on the object as well."""
    mine, edges = EASE + AGAIN, EASE + OTHER[::-1]
    (table,) = tables(made({"audited": mine}, BY_EASE))
    plain = leads(table, "audited", roles=ROLES, **ZONE, rate=0.05)
    assert plain.verdict is Verdict.PASS
    assert judged(mine, edges=edges, **CONTROLS).verdict is not Verdict.PASS
    assert judged(BY_EASE + mine, edges=edges, **CONTROLS).verdict is Verdict.PASS


def tables(evidence):
    given = evidence.chosen_pairs, evidence.faithfulness, evidence.reference
    return sample_tables(*given, evidence.roles)


def test_the_area_of_the_object_is_held_fixed():
    mine, area = EASE + 0.1 * AGAIN, EASE + 0.1 * ROUGH
    controls = {**CONTROLS, "edges": OTHER[::-1]}
    assert judged(mine, **controls).verdict is Verdict.PASS
    assert judged(mine, area=area, **controls).verdict is Verdict.VIOLATION


def test_maps_that_equal_a_model_free_one_have_nothing_left():
    edges = BY_EASE + AGAIN  # a strong relation, and all of it a model-free map's
    found = judged(3 * edges + 1, edges=edges, **CONTROLS)
    assert found.verdict is Verdict.VIOLATION
    assert "adjusted area 0.500" in found.summary


def test_a_control_is_not_adjusted_for_itself():
    roles = dataclasses.replace(ROLES, audited="edges")
    evidence = made(quality(NOISE[0], edges=CORRECT + NOISE[3]), CORRECT, roles=roles)
    (table,) = tables(evidence)
    assert np.ptp(table.adjusted("edges", roles)) > 0


def test_a_model_free_map_under_audit_leads_itself_by_nothing():
    """However well it tells right pairs from wrong ones: it never looked at the model."""
    roles = dataclasses.replace(ROLES, audited="edges")
    good = quality(NOISE[0], edges=CORRECT + 2 * NOISE[3])
    found = p202.CHECK.finding(made(good, CORRECT, roles=roles))
    assert found.verdict is Verdict.VIOLATION
    first = found.statistics[0]
    assert first.name.endswith("over edges")
    assert (first.value, first.interval.low, first.interval.high) == (0, 0, 0)


def test_a_faithful_control_that_does_not_pass_silences_the_check():
    for audited in (CORRECT + NOISE[0], ~CORRECT + NOISE[0]):
        found = judged(audited, faithful=~CORRECT + NOISE[1])
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "no faithful control tells right pairs from wrong ones" in found.summary


def test_a_faithful_control_that_leaves_it_open_silences_only_what_accuses():
    """Maps that lead every model-free one have shown that it can be told here."""
    open_ = 0.1 * CORRECT + NOISE[1]
    (table,) = tables(made(quality(open_), CORRECT))
    found = leads(table, "audited", roles=ROLES, **ZONE, rate=0.025)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert judged(CORRECT + NOISE[0], faithful=open_).verdict is Verdict.PASS
    assert judged(~CORRECT + NOISE[0], faithful=open_).verdict is Verdict.INCONCLUSIVE


def test_what_is_hopeless_is_listed_and_not_measured():
    evidence = made(quality(CORRECT + NOISE[0]), CORRECT)
    lack = replace(evidence.performance, lack="The model is wrong about 1 of 480 pairs.")
    masked = replace(evidence.reference, masks=np.ones((N, 2, 2)))
    found = p202.CHECK.finding(replace(evidence, performance=lack, reference=masked))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "wrong about 1 of 480" in found.summary
    assert found.statistics == []
    assert not found.more_pairs_help


@pytest.mark.parametrize(("pictures", "verdict"), [(4, "inconclusive"), (24, "pass")])
def test_pairs_of_a_picture_are_no_independent_witnesses(pictures, verdict):
    """However many pairs: with two right pictures and two wrong ones chance parts them often."""
    each = 96 // pictures
    right = np.arange(96) // each % 2 == 0
    found = judged(
        right + NOISE[0, :96], faithful=right + NOISE[1, :96], random=NOISE[2, :96],
        edges=NOISE[3, :96], correct=right, per_picture=each,
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


def test_faithfulness_decides_where_there_are_no_masks():
    good = {"audited": CORRECT + NOISE[0], "faithful": CORRECT + NOISE[1], "random": NOISE[2]}
    found = p202.CHECK.finding(made(None, CORRECT, faithfulness=good))
    assert found.verdict is Verdict.PASS
    assert "(faithfulness)" in found.summary


def test_a_single_pair_and_nothing_measured_are_inconclusive():
    alone = made({"audited": NOISE[0, :1]})
    assert p202.CHECK.finding(alone).verdict is Verdict.INCONCLUSIVE
    none = made({"other": NOISE[0]})
    assert p202.CHECK.finding(none).verdict is Verdict.INCONCLUSIVE


def test_pairs_without_a_value_are_left_out():
    audited = CORRECT + NOISE[0]
    audited[:4] = np.nan
    assert "78 right and 78 wrong" in judged(audited).summary


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
    assert (reference.margins > 0).tolist() == slow == CORRECT.tolist()


@pytest.mark.parametrize(("area", "wrong"), [(0.5, Verdict.PASS), (0.62, Verdict.VIOLATION)])
def test_at_either_end_of_the_zone_wrong_verdicts_stay_at_the_stated_rate(monkeypatch, area, wrong):
    """Quality shares the ease of pictures with the model and with the edges."""
    monkeypatch.setattr(sample_leads, "RESAMPLES", 200)
    rng, runs, n = np.random.default_rng(1), 300, 100
    votes = []
    shift = np.sqrt(2) * stats.norm.ppf(area)
    for _ in range(runs):
        ease = rng.normal(size=n)
        correct = rng.normal(size=n) + ease > 0
        table = {name: ease + rng.normal(size=n) for name in ("audited", "edges")}
        table["audited"] += shift * correct
        evidence = made({**table, "random": rng.normal(size=n)}, correct, per_picture=1)
        (samples,) = tables(evidence)
        found = leads(samples, "audited", roles=ROLES, **ZONE, rate=0.05)
        votes.append(found.verdict)
    assert votes.count(wrong) <= at_most(0.05, runs)
