import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import Randomization
from audit.result.finding import Verdict
from principles.unmodified_model.p107_depends_on_model import CHECK

N = 12
STAGES = ("unmodified", "readout", "both towers")
MAPS = np.random.default_rng(0).random((N, 3, 3))


def similarity(final, spread=0.02, itself=1.0):
    values = np.full((3, 2, N), itself)
    values[-1] = final + np.linspace(-spread, spread, N)
    return values


def evidence(final, spread=0.02, control=0.1, itself=1.0, **other):
    values = {
        "pairs": np.arange(N),
        "stages": STAGES,
        "similarity": {
            "ours": similarity(final, spread, itself),
            "faithful": similarity(control),
        },
        "change": np.full((2, N), 0.5),
        "reached": np.ones(2),
        "unrelated": np.linspace(0, 0.3, 50),
        "chance": np.linspace(0, 0.2, 50),
        "maps": MAPS,
        "final_maps": MAPS,
    }
    return Randomization(**(values | other))


@pytest.mark.parametrize(
    ("final", "spread", "verdict"),
    [
        (0.1, 0.05, Verdict.PASS),
        (0.45, 0.02, Verdict.PASS),
        (0.55, 0.02, Verdict.VIOLATION),
        (0.49, 0.5, Verdict.INCONCLUSIVE),
        (0.97, 0.02, Verdict.VIOLATION),
    ],
)
def test_the_interval_decides(judged, final, spread, verdict):
    found = judged(CHECK, randomization=evidence(final, spread))
    assert found.verdict is verdict
    assert (found.statistics[0].none, found.statistics[0].clear) == (0.6, 0.4)


def test_nobody_is_accused_on_a_model_of_random_weights(judged):
    random = {"random_weights": True}
    for final in (0.55, 0.97):
        found = judged(CHECK, declared=random, randomization=evidence(final))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "random" in found.summary
        assert not found.samples
    found = judged(CHECK, declared=random, randomization=evidence(0.1))
    assert found.verdict is Verdict.PASS


def test_a_violation_has_a_witness_and_a_curve(judged):
    found = judged(CHECK, randomization=evidence(0.8))
    assert found.witness.pair == found.samples[0] == "pair-11"
    curve, pair = found.figures
    ours = next(s for s in curve.series if s.name == "ours")
    assert ours.line
    assert not ours.control
    assert [p.label for p in ours.points] == list(STAGES)
    assert {s.name for s in curve.series} == {
        "ours", "faithful", "limit", "maps of different pictures",
    }  # fmt: skip
    assert pair.kind == "pair"


def test_maps_that_all_look_alike_raise_the_limit(judged):
    alike = evidence(0.6, unrelated=np.full(50, 0.8))
    found = judged(CHECK, randomization=alike)
    assert found.verdict is Verdict.PASS
    assert (found.statistics[0].none, found.statistics[0].clear) == pytest.approx((0.9, 0.7))


def test_one_map_for_all_pictures_is_no_excuse(judged):
    prior = evidence(0.97, unrelated=np.ones(50))
    assert judged(CHECK, randomization=prior).verdict is Verdict.VIOLATION


def test_an_unchanged_map_is_a_violation_even_of_one_pair(judged):
    one = evidence(1.0, spread=0.0)
    one = dataclasses.replace(
        one,
        pairs=np.arange(1),
        similarity={name: v[:, :, :1] for name, v in one.similarity.items()},
        change=np.zeros((2, 1)),
        unrelated=np.zeros(0),
    )
    assert judged(CHECK, randomization=one).verdict is Verdict.VIOLATION


def test_a_single_pair_that_changed_is_too_little_to_pass(judged):
    one = evidence(0.1)
    one = dataclasses.replace(
        one,
        pairs=np.arange(1),
        similarity={name: v[:, :, :1] for name, v in one.similarity.items()},
        change=np.full((2, 1), 0.5),
    )
    assert judged(CHECK, randomization=one).verdict is Verdict.INCONCLUSIVE


def test_parameters_that_were_not_reached_are_an_error(judged):
    found = judged(CHECK, randomization=evidence(0.1, reached=np.array([1.0, 0.999])))
    assert found.verdict is Verdict.ERROR


def test_a_control_that_survives_forbids_a_verdict(judged):
    found = judged(CHECK, randomization=evidence(0.8, control=0.7))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "faithful" in found.summary


def test_an_explainer_that_disagrees_with_itself_is_not_judged(judged):
    found = judged(CHECK, randomization=evidence(0.1, itself=0.1))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "own randomness" in found.summary


def test_one_picture_allows_no_verdict_but_an_unchanged_map(judged):
    one = {"pairs": np.arange(1), "maps": MAPS[:1], "final_maps": MAPS[:1]}
    alone = {
        "ours": similarity(0.1)[..., :1],
        "faithful": similarity(0.1)[..., :1],
    }
    change = np.full((2, 1), 0.5)
    found = judged(CHECK, randomization=evidence(0.1, similarity=alone, change=change, **one))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "One picture" in found.summary
    same = judged(CHECK, randomization=evidence(0.1, similarity=alone, change=0 * change, **one))
    assert same.verdict is Verdict.VIOLATION
