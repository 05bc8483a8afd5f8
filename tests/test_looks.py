"""Evidence that grows look by look, and when to stop looking."""

import dataclasses

import numpy as np
import pytest

from audit.evidence.growth import together
from audit.evidence.kinds import Ladder, RungInfo
from audit.gathering import Gathered
from audit.looks import judge_by_looks, picture_blocks, stopping_words
from audit.result import Verdict
from principles.performance_alignment import p206_beats_model_free as p206
from tests.principles.alignment import made

N, FIRST = 96, 48
RUNG = (RungInfo("unmodified", "unmodified", 0.0, 0),)
NOISE = 0.1 * np.random.default_rng(7).normal(size=(4, N))


def evidence(audited, pairs=slice(None)):
    quality = {
        "audited": audited + NOISE[0],
        "faithful": 0.8 + NOISE[1],
        "random": NOISE[2],
        "edges": 0.5 + NOISE[3],
    }
    part = {name: values[pairs] for name, values in quality.items()}
    found = made(part, labels=(np.arange(N) % 10)[pairs], faithfulness=part)
    n = len(part["audited"])
    twice = dataclasses.replace(found.faithfulness, other_gaps=part, other_span=np.ones(n))
    rungs = {name: values[None] for name, values in part.items()}
    ladder = Ladder(
        RUNG, 0.0, np.ones((1, len(found.reference.present))), rungs, rungs, np.ones((1, n)),
        np.arange(n),
    )  # fmt: skip
    return dataclasses.replace(found, faithfulness=twice, ladder=ladder)


def looks(audited, asked):
    for n in (FIRST, N):
        asked.append(n)
        yield Gathered(evidence(audited, slice(n)), (), {})


def judged(audited, planned=(FIRST, N)):
    asked = []
    found = judge_by_looks([p206.CHECK], looks(audited, asked), planned, severity={}, thresholds={})
    return found, asked


def test_two_parts_are_as_good_as_the_whole():
    one, two = evidence(0.7, slice(FIRST)), evidence(0.7, slice(FIRST, None))
    both, whole = together(one, two), evidence(0.7)
    for name in ("picture", "labels", "present", "cosine"):
        assert np.array_equal(getattr(both.reference, name), getattr(whole.reference, name)), name
    assert np.array_equal(both.ladder.probed, whole.ladder.probed)
    assert np.array_equal(both.faithfulness.probed, whole.faithfulness.probed)
    for name, values in whole.faithfulness.other_gaps.items():
        assert np.array_equal(both.faithfulness.other_gaps[name], values), name
    found = p206.judge(both, p206.CHECK.thresholds)
    assert found.statistics == p206.judge(whole, p206.CHECK.thresholds).statistics


def test_parts_that_were_measured_differently_are_refused():
    one, two = evidence(0.7, slice(FIRST)), evidence(0.7, slice(FIRST, None))
    rung = dataclasses.replace(two.ladder.rungs[0], strength=0.5)
    ladder = dataclasses.replace(two.ladder, rungs=(rung,))
    with pytest.raises(ValueError, match="the same rungs"):
        together(one, dataclasses.replace(two, ladder=ladder))
    lacking = together(one, dataclasses.replace(two, ladder=None))
    assert lacking.ladder is None
    assert lacking.explanations is not None


@pytest.mark.parametrize(("audited", "verdict"), [(0.7, Verdict.PASS), (0.2, Verdict.VIOLATION)])
def test_what_is_settled_is_not_looked_at_again(audited, verdict):
    found, asked = judged(audited)
    assert found.results[0].finding.verdict is verdict
    assert asked == [FIRST]
    assert found.looks == 1
    assert "Stopped after 48 of at most 96 pairs" in stopping_words(found.looks, [FIRST, N])


def test_more_is_asked_for_where_it_may_settle_a_check():
    found, asked = judged(0.57, (FIRST, N, 400))
    assert asked == [FIRST, N]
    assert found.looks == 2


def test_what_no_budget_would_settle_ends_the_audit_without_a_verdict():
    found, asked = judged(0.503 - (NOISE[0] - NOISE[3])[:FIRST].mean())
    assert asked == [FIRST]
    assert found.results[0].finding.verdict is Verdict.INCONCLUSIVE
    assert found.results[0].finding.pairs_to_settle > N


def test_pairs_of_a_picture_stay_in_one_block():
    picture = np.array([0, 0, 1, 2, 2, 2, 3, 4])
    blocks = picture_blocks(picture, [2, 4, 8])
    assert blocks == [[0, 1], [2, 3, 4, 5], [6, 7]]
    backwards = picture_blocks(picture[::-1], [3, 8])
    assert sorted(pair for block in backwards for pair in block) == list(range(8))
