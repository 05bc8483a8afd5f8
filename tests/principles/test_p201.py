"""P201 on constructed ladders: rising, flat, and one whose first rung is not the model."""

import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import (
    Evidence,
    Ladder,
    OtherModels,
    Reference,
    Roles,
    RungFaithfulness,
    RungInfo,
)
from audit.result.finding import Verdict
from principles.performance_alignment.p201_tracks_ladder import CHECK
from principles.performance_alignment.rung_quality import rung_measures

PAIRS, RUNGS = 60, 13


def ladder(slope):
    """Quality that rises with accuracy by ``slope``; a faithful control that rises by one."""
    rng = np.random.default_rng(0)
    share = np.linspace(1.0, 0.1, RUNGS)
    correct = rng.random(PAIRS)[None] < share[:, None]
    noise = 0.05 * rng.standard_normal((RUNGS, PAIRS))
    infos = [RungInfo("unmodified", "unmodified", 0.0, 0)]
    infos += [RungInfo(f"noise {i}", "weight-noise", i / 10, 0) for i in range(1, RUNGS)]
    return Ladder(
        rungs=tuple(infos),
        identity_error=0.0,
        correct=correct,
        localization={
            "mine": slope * share[:, None] + noise,
            "faithful": share[:, None] + noise[::-1],
            "edges": np.full((RUNGS, PAIRS), 0.4),
        },
    )


def evidence(found, faithfulness=None):
    index = np.arange(PAIRS)
    present = np.eye(PAIRS, dtype=bool)
    reference = Reference(
        ids=tuple(map(str, index)),
        texts=("text",) * PAIRS,
        classes=tuple(map(str, index)),
        picture=index,
        labels=index,
        present=present,
        scores=present.astype(float),
        masks=None,
        image_blocks=4,
        text_blocks=2,
    )
    roles = Roles("mine", ("faithful",), ("edges",), None, True, False, False)
    faithful = None
    if faithfulness is not None:
        faithful = RungFaithfulness(index, faithfulness, np.ones((RUNGS, PAIRS)))
    return Evidence(
        roles=roles,
        reference=reference,
        ladder=found,
        rung_faithfulness=faithful,
        other_models=OtherModels(),
    )


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [(1.0, Verdict.PASS), (-1.0, Verdict.VIOLATION)],
)
def test_verdict_follows_the_slope(slope, verdict):
    assert CHECK.finding(evidence(ladder(slope))).verdict is verdict


def test_the_same_maps_on_every_rung_are_a_violation():
    found = ladder(1.0)
    flat = {**found.localization, "mine": found.localization["edges"]}
    found = dataclasses.replace(found, localization=flat)
    assert CHECK.finding(evidence(found)).verdict is Verdict.VIOLATION


def test_a_faithful_control_that_does_not_track_silences_the_check():
    found = ladder(1.0)
    flat = {**found.localization, "faithful": found.localization["edges"]}
    found = dataclasses.replace(found, localization=flat)
    assert CHECK.finding(evidence(found)).verdict is Verdict.INCONCLUSIVE


def test_a_first_rung_that_is_not_the_model_is_an_error():
    found = dataclasses.replace(ladder(1.0), identity_error=0.1)
    with pytest.raises(ValueError, match="strength zero is not the model"):
        CHECK.finding(evidence(found))


def with_checkpoints(found, quality, correct):
    """The ladder with two checkpoints behind it, of a certain quality and correctness."""
    infos = [RungInfo(f"checkpoint {i}", "checkpoint", i, 0, f"hash {i}") for i in (1, 2)]
    return dataclasses.replace(
        found,
        rungs=(*found.rungs, *infos),
        correct=np.concatenate([found.correct, correct]),
        localization={
            name: np.concatenate([rows, quality]) for name, rows in found.localization.items()
        },
    )


def correlation(found):
    return CHECK.finding(evidence(found)).statistics[0].value


def test_checkpoints_are_ranked_among_themselves_and_the_model_only():
    """Maps on another scale than those of degraded rungs neither make nor mask a relation."""
    found = ladder(1.0)
    correct = np.stack([np.arange(PAIRS) < 40, np.arange(PAIRS) < 20])
    alike = with_checkpoints(found, np.full((2, PAIRS), [[0.7], [0.5]]), correct)
    higher = dataclasses.replace(
        alike,
        localization={
            n: np.concatenate([rows[:-2], rows[-2:] + (0.2 if n == "mine" else 0.0)])
            for n, rows in alike.localization.items()
        },
    )
    assert correlation(alike) == pytest.approx(correlation(higher))
    swapped = with_checkpoints(found, np.full((2, PAIRS), [[0.5], [0.7]]), correct)
    assert correlation(swapped) < correlation(alike)


def test_one_checkpoint_and_a_model_that_knows_nothing_allow_no_verdict():
    found = ladder(1.0)
    first, last = 0, RUNGS - 1
    two = dataclasses.replace(
        found,
        rungs=(found.rungs[0], RungInfo("checkpoint a", "checkpoint", 1.0, 0, "hash")),
        correct=found.correct[[last, first]],
        localization={n: rows[[last, first]] for n, rows in found.localization.items()},
    )
    finding = CHECK.finding(evidence(two))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "2 rungs have it and 3 can be ranked" in finding.summary


def test_localization_decides_before_faithfulness():
    found, other = ladder(1.0), ladder(-1.0).localization
    finding = CHECK.finding(evidence(found, other))
    assert finding.verdict is Verdict.PASS
    assert "(localization)" in finding.summary
    assert "(faithfulness) does not follow" in finding.detail[1]
    alone = dataclasses.replace(found, localization={})
    finding = CHECK.finding(evidence(alone, other))
    assert finding.verdict is Verdict.VIOLATION
    assert "(faithfulness)" in finding.summary


def test_faithfulness_is_asked_for_where_localization_may_not_speak():
    found = ladder(1.0)
    assert CHECK.finding(evidence(found)).wants == []
    mute = {**found.localization, "faithful": found.localization["edges"]}
    for localization in ({}, mute):
        lacking = dataclasses.replace(found, localization=localization)
        finding = CHECK.finding(evidence(lacking))
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert finding.wants == ["rung_faithfulness"]
        assert CHECK.finding(evidence(lacking, found.localization)).wants == []


def test_too_few_rungs_are_not_settled_by_more_pairs():
    """Quality that falls on two rungs, whatever the pictures: only more rungs would tell."""
    found = ladder(1.0)
    mine = found.localization["mine"].copy()
    mine[[1, 2, 9, 10]] += [[-0.7], [-0.6], [0.6], [0.7]]
    uneven = dataclasses.replace(found, localization={**found.localization, "mine": mine})
    finding = CHECK.finding(evidence(uneven))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "However many pairs there are, so few rungs leave" in finding.summary
    assert finding.pairs_to_settle is None
    assert not finding.more_pairs_help


def test_noise_between_pictures_is_settled_by_more_pairs():
    rng, found = np.random.default_rng(3), ladder(1.0)
    mine = found.localization["mine"] + 5.0 * rng.normal(size=(RUNGS, PAIRS))
    mine += (np.linspace(1, 0.1, RUNGS) - mine.mean(1))[:, None]  # means of the rungs as they were
    noisy = dataclasses.replace(found, localization={**found.localization, "mine": mine})
    finding = CHECK.finding(evidence(noisy))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.pairs_to_settle > PAIRS
    assert f"About {finding.pairs_to_settle:,} pairs would settle" in finding.summary


def test_a_rung_without_a_range_of_scores_has_no_faithfulness():
    """A share of nearly nothing may be anything, and would stand among the best rungs."""
    found = ladder(1.0)
    given = evidence(found, found.localization)
    span = np.ones((RUNGS, PAIRS))
    span[-2:] = [[0.09], [-0.2]]
    given = dataclasses.replace(
        given, rung_faithfulness=dataclasses.replace(given.rung_faithfulness, span=span)
    )
    quality = rung_measures(given.ladder, given.rung_faithfulness, given.reference)["faithfulness"]
    assert quality.rungs_with("mine") == RUNGS - 2
    assert np.isfinite(quality.of("mine")[0, :-2]).all()
    ladder_plot = CHECK.finding(given).figures[1]
    assert [len(one.points) for one in ladder_plot.series] == [RUNGS - 2] * 3


def test_grids_of_a_set_are_drawn_together_and_none_stands_for_another():
    """Sets are few and grids many: the accuracy of a set is that of its own grids."""
    built = evidence(ladder(1.0))
    sets = 7 * (np.arange(PAIRS)[::-1] // 4)
    of_sets = dataclasses.replace(built.reference, sets=sets)
    found = rung_measures(built.ladder, None, of_sets)["localization"]
    slow = [
        [built.ladder.correct[rung, sets == one].mean() for one in np.unique(sets)]
        for rung in range(RUNGS)
    ]
    assert np.allclose(found.correct, slow)
    assert np.array_equal(np.unique(sets)[found.picture], sets)
    plain = rung_measures(built.ladder, None, built.reference)["localization"]
    assert np.array_equal(plain.correct, built.ladder.correct)
    assert np.array_equal(plain.picture, np.arange(PAIRS))
