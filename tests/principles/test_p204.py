"""P204 on evidence made by hand: a worse executed model with worse, equal and unclear maps."""

from dataclasses import replace

import numpy as np
import pytest

from audit.evidence.kinds import Executed, Ladder, RungFaithfulness, RungInfo
from audit.result import Verdict
from principles.performance_alignment.p204_no_better_map_from_a_worse_model import CHECK
from tests.principles.alignment import ROLES, made

PAIRS = 200
NO_LADDER = Ladder((RungInfo("unmodified", "unmodified", 0.0, 0),), 0.0, np.ones((1, PAIRS)), {})
NO_RUNGS = RungFaithfulness(np.arange(0), {}, np.ones((1, 0)))
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
):
    """The executed model is right on a share of the pictures, the model on all."""
    quality = table(gain, noise)
    faithful = None if faithfulness is None else table(faithfulness, noise, 1)
    evidence = made(
        quality if masks else None, per_picture=1, roles=roles, faithfulness=faithful or quality
    )
    scores = np.zeros((PAIRS, 2))
    correct = np.arange(PAIRS) < right * PAIRS
    executed = Executed(how, scores, scores, correct, np.ones(PAIRS, bool), 0.1)
    ladder, rungs = on or (NO_LADDER, NO_RUNGS)
    evidence = replace(evidence, executed=executed, ladder=ladder, rung_faithfulness=rungs)
    return CHECK.judge(evidence, CHECK.thresholds)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(-0.1, Verdict.PASS), (0.0, Verdict.VIOLATION), (0.1, Verdict.VIOLATION)],
)
def test_a_worse_executed_model_must_come_with_worse_maps(gain, verdict):
    finding = judged(gain)
    assert finding.verdict is verdict
    assert "70.0 % of 200 pictures, the model on 100.0 %" in finding.summary


def test_unclear_maps_are_inconclusive():
    assert judged(-0.01, noise=0.3).verdict is Verdict.INCONCLUSIVE


def test_an_executed_model_that_is_as_good_may_have_any_maps():
    assert judged(0.1, right=1.0).verdict is Verdict.PASS


def test_no_score_no_verdict():
    assert judged(0.1, how="none").verdict is Verdict.NOT_APPLICABLE


def test_faithfulness_is_told_in_the_same_words_beside_localization():
    finding = judged(-0.1, faithfulness=0.1)
    assert finding.verdict is Verdict.PASS
    one, two = finding.detail
    assert "Its maps (localization) are worse too: quality minus that of its" in one
    assert "Its maps (faithfulness) are nevertheless not worse: quality minus that of its" in two
    assert one == finding.summary
    names = [s.name for s in finding.statistics]
    assert names[0] == "executed minus model accuracy"
    for measure in ("localization", "faithfulness"):
        assert f"{measure} minus that of its faithful twin (twin)" in names
    assert finding.statistics[0].p < 1e-10  # sixty pictures, all on one side
    assert 0 < finding.statistics[1].p <= 1e-4
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


@pytest.mark.parametrize(("gain", "verdict"), [(0.0, Verdict.VIOLATION), (-0.3, Verdict.PASS)])
def test_without_a_twin_the_ladder_predicts_faithfulness(gain, verdict):
    """The audited maps lose 0.2 as accuracy falls to one half; the executed model has 0.7."""
    roles = replace(TWIN, twin=None)
    quality = table(0.0, 0.02)
    correct = np.stack([np.ones(PAIRS), np.arange(PAIRS) % 2]).astype(bool)
    rungs = {n: np.stack([q, q - 0.2 - gain]) for n, q in quality.items()}
    infos = (
        RungInfo("unmodified", "unmodified", 0.0, 0),
        RungInfo("weight-noise 1", "weight-noise", 1.0, 0),
    )
    on = (
        Ladder(infos, 0.0, correct, {}),
        RungFaithfulness(np.arange(PAIRS), rungs, np.ones((2, PAIRS))),
    )
    finding = judged(0.0, masks=False, roles=roles, on=on)
    assert "faithfulness minus what the ladder of audited has" in finding.statistics[1].name
    drop = 0.2 + gain
    assert finding.statistics[1].value == pytest.approx(drop * 0.3 / 0.5, abs=0.02)
    assert finding.verdict is verdict


def test_accuracies_that_never_differ_need_no_test():
    assert judged(0.1, right=1.0).statistics[0].p is None


def test_the_ladder_is_asked_for_where_the_executed_model_is_worse():
    """And only there: an executed model that is as good may have any maps."""
    assert judged(0.1, right=1.0, on=(None, None)).verdict is Verdict.PASS
    finding = judged(0.1, on=(None, None))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.wants == ["ladder", "rung_faithfulness"]
