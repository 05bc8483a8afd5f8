"""P204 on evidence made by hand: a worse executed model with worse, equal and unclear maps."""

from dataclasses import replace

import numpy as np
import pytest

from audit.evidence.kinds import Executed
from audit.result import Verdict
from principles.performance_alignment.p204_no_better_map_from_a_worse_model import CHECK
from tests.principles.alignment import ROLES, made

PAIRS = 200
TWIN = replace(ROLES, twin="twin")


def judged(gain, right=0.7, how="gradient", noise=0.02):
    """The executed model is right on a share of the pictures, the model on all."""
    rng = np.random.default_rng(0)
    theirs = rng.uniform(0.3, 0.7, PAIRS)
    ours = theirs + gain + rng.normal(0, noise, PAIRS)
    quality = {"audited": ours, "twin": theirs, "faithful": theirs}
    evidence = made(quality, per_picture=1, roles=TWIN)
    scores = np.zeros((PAIRS, 2))
    correct = np.arange(PAIRS) < right * PAIRS
    executed = Executed(how, scores, scores, correct, np.ones(PAIRS, bool), 0.1)
    return CHECK.judge(replace(evidence, executed=executed, ladder=None), CHECK.thresholds)


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
