import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import Explanations, PatchEffects
from audit.result.finding import Verdict
from principles.unmodified_model.p108_agrees_with_interventions import CHECK

N = 12
WIGGLE = np.tile([-0.05, 0.05], N // 2)
MAPS = np.random.default_rng(0).random((N, 3, 3))


def rows(value, spread=1.0):
    return np.stack([value + spread * WIGGLE] * 2)


def evidence(ours, unsigned=None, *, faithful=0.5, ceiling=0.9, spread=1.0, **other):
    own = unsigned if unsigned is not None else ours
    controls = {"random": rows(0.0, -1.0), "edges": rows(0.1, -1.0)}
    values = {
        "pairs": np.arange(N),
        "kinds": ("occlusion", "removal patching"),
        "effects": np.stack([MAPS, MAPS]),
        "agreement": {"ours": rows(ours, spread), "faithful": rows(faithful), **controls},
        "unsigned_agreement": {
            "ours": rows(own, spread), "faithful": rows(faithful), **controls,
        },
        "ceiling": rows(ceiling),
        "unsigned_ceiling": rows(ceiling),
        "null_difference": 1e-7,
        "tolerance": 1e-5,
    }  # fmt: skip
    return PatchEffects(**(values | other))


@pytest.fixture
def verdict(judged):
    def of(found, **how):
        return judged(CHECK, effects=found, explanations=Explanations({"ours": MAPS}, {}), **how)

    return of


def test_a_map_that_finds_the_effect_passes(verdict):
    found = verdict(evidence(0.5))
    assert found.verdict is Verdict.PASS
    assert "edges" in found.summary  # the best of the model-free ones
    assert found.statistics[0].value == pytest.approx(0.4)
    assert [f.kind for f in found.figures] == ["bars", "bars", "pair"]
    assert len(found.figures[-1].maps) == 3


def test_a_map_no_better_than_a_model_free_one_fails(verdict):
    found = verdict(evidence(-0.2))
    assert found.verdict is Verdict.VIOLATION
    assert found.witness.pair in found.samples


def test_a_model_free_control_fails_although_it_ties_with_itself(verdict):
    best = evidence(0.0)
    best = dataclasses.replace(
        best,
        agreement=best.agreement | {"ours": best.agreement["edges"]},
        unsigned_agreement=best.unsigned_agreement | {"ours": best.agreement["edges"]},
    )
    assert verdict(best).verdict is Verdict.VIOLATION


def test_a_lead_that_may_be_nothing_is_inconclusive(verdict):
    assert verdict(evidence(0.15, spread=8.0)).verdict is Verdict.INCONCLUSIVE


def test_the_margin_is_a_share_of_the_ceilings_lead(verdict):
    near = evidence(0.1, spread=0.5)  # lead 0, interval about -0.05 to 0.05; margin 0.08
    assert verdict(near).verdict is Verdict.VIOLATION
    narrow = verdict(near, thresholds={"share_of_ceiling": 0.01})
    assert narrow.verdict is Verdict.INCONCLUSIVE


def test_a_map_of_sensitivity_passes_by_the_size_of_the_effect(verdict):
    found = verdict(evidence(-0.3, unsigned=0.8))
    assert found.verdict is Verdict.PASS
    assert "size of the effect" in found.summary


def test_undecided_in_one_sense_is_no_violation(verdict):
    found = evidence(-0.3)
    wide = found.unsigned_agreement | {"ours": rows(0.15, 8.0)}
    found = dataclasses.replace(found, unsigned_agreement=wide)
    assert verdict(found).verdict is Verdict.INCONCLUSIVE


def test_no_verdict_against_anybody_where_the_faithful_control_fails(verdict):
    found = verdict(evidence(-0.2, faithful=0.1))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "faithful" in found.summary


def test_a_weak_control_does_not_hide_a_good_map(verdict):
    assert verdict(evidence(0.5, faithful=0.1)).verdict is Verdict.PASS


@pytest.mark.parametrize("ceiling", [0.15, 0.1])
def test_a_low_ceiling_allows_no_verdict(verdict, ceiling):
    for ours in (-0.2, 0.5):
        found = verdict(evidence(ours, ceiling=ceiling))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "ceiling" in found.summary


def test_a_constant_map_ranks_nothing(judged):
    flat = Explanations({"ours": np.ones((N, 3, 3))}, {})
    found = judged(CHECK, effects=evidence(-0.2), explanations=flat)
    assert found.verdict is Verdict.NOT_APPLICABLE


def test_no_effect_allows_no_verdict(verdict):
    none = np.full((2, N), np.nan)
    found = evidence(0.5, ceiling=0.5)
    found = dataclasses.replace(
        found,
        ceiling=none,
        unsigned_ceiling=none,
        agreement=dict.fromkeys(found.agreement, none),
        unsigned_agreement=dict.fromkeys(found.agreement, none),
    )
    assert verdict(found).verdict is Verdict.INCONCLUSIVE


def test_a_failing_null_control_is_an_error(verdict):
    for difference in (1e-3, float("nan")):
        found = verdict(evidence(0.5, null_difference=difference))
        assert found.verdict is Verdict.ERROR


def test_a_single_pair_is_too_little(verdict):
    found = evidence(0.5)
    one = {
        f.name: getattr(found, f.name)[:, :1]
        for f in dataclasses.fields(found)
        if f.name in ("effects", "ceiling", "unsigned_ceiling")
    }
    cut = {n: v[:, :1] for n, v in found.agreement.items()}
    found = dataclasses.replace(
        found, **one, pairs=np.arange(1), agreement=cut, unsigned_agreement=cut
    )
    assert verdict(found).verdict is Verdict.INCONCLUSIVE
