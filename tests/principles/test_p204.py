"""P204 on evidence made by hand: a worse executed model with worse, equal and unclear maps."""

from dataclasses import replace

import numpy as np
import pytest

from audit.evidence.kinds import (
    Executed,
    Ladder,
    RungFaithfulness,
    RungInfo,
    TwinMaps,
)
from audit.result.finding import Verdict
from principles.performance_alignment.p204_no_better_map_from_a_worse_model import CHECK
from tests.principles.alignment import ROLES, made

PAIRS = 200
NO_LADDER = Ladder((RungInfo("unmodified", "unmodified", 0.0, 0),), 0.0, np.ones((1, PAIRS)), {})
NO_RUNGS = RungFaithfulness(np.arange(0), {}, np.ones((1, 0)))
NO_MAPS = TwinMaps(np.arange(0), {})
TWIN = replace(ROLES, twin="twin")


def table(gain, noise, seed=0):
    """Quality of maps that gain something over those of their twin, and of controls."""
    rng = np.random.default_rng(seed)
    theirs = rng.uniform(0.3, 0.7, PAIRS)
    ours = theirs + gain + rng.normal(0, noise, PAIRS)
    low = rng.uniform(0, 0.1, (2, PAIRS))
    rows = {"audited": ours, "twin": theirs, "faithful": theirs}
    return {**rows, "random": low[0], "edges": 0.2 + low[1]}


def judged(
    gain,
    right=0.7,
    how="gradient",
    noise=0.02,
    *,
    masks=True,
    faithfulness=None,
    roles=TWIN,
    on=None,
    many=NO_MAPS,
):
    """The executed model is right on a share of the pictures, the model on all."""
    quality = table(gain, noise)
    faithful = None if faithfulness is None else table(faithfulness, noise, 1)
    evidence = made(
        quality if masks else None, per_picture=1, roles=roles, faithfulness=faithful or quality
    )
    correct = np.arange(PAIRS) < right * PAIRS
    executed = Executed(how, correct, np.ones(PAIRS, bool), 0.1)
    ladder, rungs = on or (NO_LADDER, NO_RUNGS)
    evidence = replace(evidence, executed=executed, ladder=ladder, rung_faithfulness=rungs)
    evidence = replace(evidence, twin_maps=many)
    return CHECK.finding(evidence)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(-0.1, Verdict.PASS), (0.0, Verdict.PASS), (0.1, Verdict.VIOLATION)],
)
def test_a_worse_executed_model_must_not_come_with_better_maps(gain, verdict):
    finding = judged(gain)
    assert finding.verdict is verdict
    assert "70.0 % of 200 pictures, the model on 100.0 %" in finding.summary


def test_unclear_maps_are_inconclusive():
    assert judged(0.02, noise=0.3).verdict is Verdict.INCONCLUSIVE


def test_an_executed_model_that_is_as_good_may_have_any_maps():
    assert judged(0.1, right=1.0).verdict is Verdict.PASS


def test_no_score_no_verdict():
    assert judged(0.1, how="none").verdict is Verdict.NOT_APPLICABLE


def test_faithfulness_is_told_in_the_same_words_beside_localization():
    finding = judged(-0.1, faithfulness=0.1)
    assert finding.verdict is Verdict.PASS
    one, two = finding.detail
    assert (
        "Its maps (localization) are no better than the model's: quality minus that of its" in one
    )
    assert "Its maps (faithfulness) are nevertheless better than the model's: quality" in two
    assert one == finding.summary
    names = [s.name for s in finding.statistics]
    assert names[1] == "executed minus model accuracy"  # after what decides: the maps
    for measure in ("localization", "faithfulness"):
        assert f"{measure} minus that of its faithful twin" in names
    assert finding.statistics[1].p < 1e-10  # sixty pictures, all on one side
    assert 0 < finding.statistics[0].p <= 1e-4
    assert finding.figures[0].columns == ["", "accuracy", "localization", "faithfulness"]


@pytest.mark.parametrize(("gain", "verdict"), [(-0.1, Verdict.PASS), (0.05, Verdict.VIOLATION)])
def test_without_masks_faithfulness_decides(gain, verdict):
    finding = judged(gain, masks=False)
    assert finding.verdict is verdict
    assert "Its maps (faithfulness)" in finding.summary


def test_a_measure_that_does_not_repeat_itself_leaves_the_word_to_the_next():
    finding = judged(0.1, noise=30.0, faithfulness=-0.1)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "Its maps (localization) cannot be compared, since two halves" in finding.summary


def on_a_ladder(gain, noise=0.02, probed=PAIRS):
    """Without a twin: a faithful control loses 0.2 as accuracy falls to one half."""
    quality = table(gain, noise)
    correct = np.stack([np.ones(PAIRS), np.arange(PAIRS) % 2]).astype(bool)
    rungs = {n: np.stack([q, q - 0.2])[:, :probed] for n, q in quality.items()}
    infos = (
        RungInfo("unmodified", "unmodified", 0.0, 0),
        RungInfo("weight-noise 1", "weight-noise", 1.0, 0),
    )
    return (
        Ladder(infos, 0.0, correct, {}),
        RungFaithfulness(np.arange(probed), rungs, np.ones((2, probed))),
    )


@pytest.mark.parametrize(
    ("gain", "noise", "verdict"),
    [
        (0.0, 0.02, Verdict.VIOLATION),
        (-0.105, 0.3, Verdict.INCONCLUSIVE),
        (-0.15, 0.02, Verdict.PASS),  # just below the control's ladder
        (-0.3, 0.02, Verdict.PASS),
    ],
)
def test_without_a_twin_a_control_s_ladder_predicts_faithfulness(gain, noise, verdict):
    """The executed model is right on 0.7 of the pictures, where the control has lost 0.12."""
    roles = replace(TWIN, twin=None)
    finding = judged(gain, noise=noise, masks=False, roles=roles, on=on_a_ladder(gain, noise))
    name = "faithfulness minus what the ladder of faithful has at that accuracy"
    (statistic,) = [s for s in finding.statistics if s.name == name]
    own = table(gain, noise)
    expected = (own["audited"] - own["faithful"]).mean() + 0.2 * 0.3 / 0.5
    assert statistic.value == pytest.approx(expected, abs=1e-9)
    assert (statistic.none, statistic.clear) == (0.02, 0.0)
    assert finding.verdict is verdict


def test_an_explainer_is_not_compared_with_its_own_ladder():
    """Maps that follow the ladder lie above any lower rung of it, whoever draws them."""
    roles = replace(TWIN, twin=None, positive=())
    finding = judged(0.0, masks=False, roles=roles, on=on_a_ladder(0.0))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert not any("ladder" in s.name for s in finding.statistics)


def test_a_resample_without_a_measured_picture_is_left_out():
    roles = replace(TWIN, twin=None)
    finding = judged(0.0, masks=False, roles=roles, on=on_a_ladder(0.0, probed=3))
    (statistic,) = [s for s in finding.statistics if "ladder" in s.name]
    assert np.isfinite([statistic.interval.low, statistic.interval.high]).all()


@pytest.mark.parametrize(("share", "verdict"), [(0.995, Verdict.PASS), (0.9, Verdict.VIOLATION)])
def test_a_drop_that_is_negligible_calls_for_no_worse_maps(monkeypatch, share, verdict):
    """However many pictures show that it is there."""
    monkeypatch.setattr("tests.principles.test_p204.PAIRS", 4000)
    finding = judged(0.1, right=share, on=(NO_LADDER, NO_RUNGS))
    assert finding.statistics[0].interval.high < 0
    assert finding.verdict is verdict


def test_a_drop_that_may_be_negligible_accuses_nobody():
    """It is there, and it may be less than two in a hundred."""
    finding = judged(0.1, right=0.97)
    assert finding.statistics[0].interval.high < 0
    assert finding.statistics[0].interval.high > -0.02 > finding.statistics[0].interval.low
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "may be negligible" in finding.summary


def test_accuracies_that_never_differ_need_no_test():
    assert judged(0.1, right=1.0).statistics[0].p is None


def test_the_ladder_is_asked_for_where_the_executed_model_is_worse():
    """And only there: an executed model that is as good may have any maps."""
    assert judged(0.1, right=1.0, on=(None, None)).verdict is Verdict.PASS
    finding = judged(0.1, on=(None, None), roles=replace(TWIN, twin=None))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.wants == ["ladder", "rung_faithfulness"]


def test_many_pairs_with_maps_tell_what_the_pairs_of_the_audit_do_not():
    few = judged(0.02, noise=0.3)
    assert few.verdict is Verdict.INCONCLUSIVE
    rng = np.random.default_rng(3)
    theirs = rng.uniform(0.3, 0.7, 4000)
    quality = {"audited": theirs + rng.normal(0, 0.3, 4000), "twin": theirs}
    many = TwinMaps(np.arange(4000) // 2, quality)
    found = judged(0.02, noise=0.3, many=many)
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].n == 2000
    gain = (quality["audited"] - theirs).mean()
    assert found.statistics[0].value == pytest.approx(gain)


def test_maps_on_many_pairs_are_asked_for_where_there_is_a_twin():
    assert judged(0.1, many=None).wants == ["twin_maps"]
    assert judged(0.1, right=1.0, many=None).verdict is Verdict.PASS


def test_grids_of_a_set_are_no_independent_witnesses_of_a_drop():
    """Ten sets, of which three are wrong as wholes."""
    quality = table(-0.1, 0.02)
    built = made(quality, per_picture=1, roles=TWIN, faithfulness=quality)
    sets = np.arange(PAIRS) // (PAIRS // 10)
    executed = Executed("gradient", sets >= 3, np.ones(PAIRS, bool), 0.1)
    given = {"executed": executed, "twin_maps": NO_MAPS}
    ends = {}
    for name, one in (("grids", None), ("sets", sets)):
        reference = replace(built.reference, sets=one)
        found = CHECK.finding(replace(built, reference=reference, **given))
        (drop,) = [s for s in found.statistics if s.name == "executed minus model accuracy"]
        assert drop.value == pytest.approx(-0.3)
        ends[name] = drop.interval.high - drop.interval.low
    assert ends["sets"] > 3 * ends["grids"]
