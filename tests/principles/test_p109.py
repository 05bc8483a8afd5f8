import numpy as np
import pytest

from audit.evidence.kinds import Repeatability
from audit.result.finding import Verdict
from principles.unmodified_model.p109_repeatable import CHECK

N = 6
CONDITIONS = ("again", "again, run 3", "beside itself", "in a batch")
MAPS = np.random.default_rng(0).random((N, 3, 3))
EPS = 2.0**-23
STOCHASTIC = {"stochastic": True}


def evidence(again=0.0, company=1e-6, control=1e-6, noise=1e-6):
    change = np.empty((4, N))
    change[:3], change[3:] = again, company
    return Repeatability(
        pairs=np.arange(N),
        conditions=CONDITIONS,
        relative_l2=change,
        largest=change,
        control=np.full((4, N), control),
        repeats=change[:3],
        noise=np.full(N, noise),
        resolution=EPS,
        maps=MAPS,
        changed_maps=np.stack([MAPS] * 4),
    )


def only(pair, value):
    return np.where(np.arange(N) == pair, value, 0.0)


def test_a_repeatable_map_passes(judged):
    found = judged(CHECK, repeatability=evidence())
    assert found.verdict is Verdict.PASS
    assert [f.kind for f in found.figures] == ["bars", "table"]


@pytest.mark.parametrize(
    ("change", "verdict"), [(0.9 * EPS**0.5, "pass"), (1.1 * EPS**0.5, "violation")]
)
def test_the_boundary_is_the_root_of_the_resolution(judged, change, verdict):
    assert judged(CHECK, repeatability=evidence(company=change)).verdict == verdict
    assert judged(CHECK, repeatability=evidence(again=change)).verdict == verdict


def test_one_pair_is_enough_and_is_the_witness(judged):
    found = judged(CHECK, repeatability=evidence(company=only(4, 0.3)))
    assert found.verdict is Verdict.VIOLATION
    assert found.samples == ["pair-4"]
    assert found.witness.pair == "pair-4"
    assert "in a batch" in found.summary
    assert found.figures[-1].kind == "pair"


def test_runs_that_differ_are_named_as_such(judged):
    found = judged(CHECK, repeatability=evidence(again=0.2, company=0.2, noise=0.3))
    assert found.verdict is Verdict.VIOLATION
    assert "run to run" in found.summary


@pytest.mark.parametrize("null", ["control", "noise"])
def test_null_controls_raise_the_limit_tenfold(judged, null):
    inside = evidence(company=0.009, **{null: 1e-3})
    beyond = evidence(company=0.011, **{null: 1e-3})
    assert judged(CHECK, repeatability=inside).verdict is Verdict.PASS
    assert judged(CHECK, repeatability=beyond).verdict is Verdict.VIOLATION


def test_rounding_of_weights_does_not_excuse_the_same_call(judged):
    found = evidence(again=0.005, noise=1e-3)
    assert judged(CHECK, repeatability=found).verdict is Verdict.VIOLATION


def test_maps_that_rounding_moves_cannot_be_judged(judged):
    found = judged(CHECK, repeatability=evidence(company=0.4, noise=0.2))
    assert found.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("company", "verdict"), [(0.3, "pass"), (0.5, "violation")])
def test_a_declared_stochastic_map_is_judged_by_its_repeats(judged, company, verdict):
    found = evidence(again=0.2, company=company)
    assert judged(CHECK, declared=STOCHASTIC, repeatability=found).verdict == verdict


def test_a_stochastic_map_may_be_far_off_by_chance_on_few_pairs(judged):
    found = evidence(again=0.2, company=0.2 + only(1, 0.5))
    assert judged(CHECK, declared=STOCHASTIC, repeatability=found).verdict is Verdict.PASS


def test_a_declaration_does_not_loosen_a_steady_map(judged):
    found = evidence(again=0.0, company=0.01)
    assert judged(CHECK, declared=STOCHASTIC, repeatability=found).verdict is Verdict.VIOLATION


def test_a_place_in_the_batch_is_named(judged):
    found = evidence()
    found.relative_l2[2] = 0.1
    found = judged(CHECK, repeatability=found)
    assert found.verdict is Verdict.VIOLATION
    assert "place in the batch" in found.summary


def test_a_map_that_becomes_infinitely_different_is_reported(judged):
    found = judged(CHECK, repeatability=evidence(company=only(0, np.inf)))
    assert found.verdict is Verdict.VIOLATION
    assert found.statistics[0].value is None
