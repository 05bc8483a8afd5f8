"""P206: are the maps better than those that never look at the model?"""

import dataclasses

import numpy as np
import pytest

from audit.result.finding import Severity, Verdict
from audit.statistics.power import smallest_visible_effect
from principles.indifference import Zone
from principles.performance_alignment import p206_beats_model_free as p206
from principles.performance_alignment.estimates import Measure
from tests.principles.alignment import ROLES, at_most, made

N = 80
NOISE = 0.1 * np.random.default_rng(6).normal(size=(4, N))


def qualities(audited, faithful=0.8 + NOISE[1], random=NOISE[2], edges=0.5 + NOISE[3]):
    return {"audited": audited, "faithful": faithful, "random": random, "edges": edges}


def judged(audited, *, roles=ROLES, **controls):
    return p206.CHECK.finding(made(qualities(audited, **controls), roles=roles))


def test_maps_above_every_control_pass():
    found = judged(0.7 + NOISE[0])
    assert found.verdict is Verdict.PASS
    assert "edges" in found.summary
    assert [s.name for s in found.statistics] == [
        "gain in localization over edges",
        "gain in localization over random",
        "reliability of localization (how far the explainers lie apart)",
    ]
    assert {s.interval.level for s in found.statistics[:2]} == {0.9}  # each at the whole rate
    assert found.statistics[2].value > found.statistics[2].threshold == 0.8
    assert found.statistics[0].value == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("audited", [0.3 + NOISE[0], 0.5 + NOISE[3]])
def test_one_control_that_is_as_good_is_a_violation(audited):
    found = judged(audited)
    assert found.verdict is Verdict.VIOLATION
    assert "no better than edges" in found.summary
    assert found.witness.pair == found.samples[0] == found.figures[0].pair


@pytest.mark.parametrize(
    ("balanced", "severity"), [(True, Severity.ERROR), (False, Severity.WARNING)]
)
def test_a_violation_is_an_error_where_positions_tell_nothing(balanced, severity):
    evidence = made(qualities(0.3 + NOISE[0]))
    reference = dataclasses.replace(evidence.reference, balanced=balanced)
    found = p206.CHECK.finding(dataclasses.replace(evidence, reference=reference))
    assert found.verdict is Verdict.VIOLATION
    assert (found.severity or p206.CHECK.severity) is severity


def test_a_control_under_audit_never_passes():
    for name in ROLES.negative:
        roles = dataclasses.replace(ROLES, audited=name)
        assert judged(NOISE[0], roles=roles).verdict is Verdict.VIOLATION


def test_too_close_is_inconclusive_and_says_how_many_pairs_it_takes():
    found = judged(0.525 + NOISE[0] - NOISE[0].mean() + NOISE[3].mean())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "pairs would settle" in found.summary


def test_an_undecided_verdict_names_the_control_that_is_undecided():
    wide = 0.5 + 3 * np.random.default_rng(3).normal(size=len(NOISE[0]))
    found = judged(0.6 + NOISE[0], random=wide, faithful=2.5 + NOISE[1])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "may or may not beat random" in found.summary
    first, second = found.statistics[:2]
    assert (first.name, second.name) == (
        "gain in localization over random",
        "gain in localization over edges",
    )
    assert first.interval.low < 0 < second.interval.low
    assert first.p > 0.05 > second.p


@pytest.mark.parametrize("audited", [0.9 + NOISE[0], NOISE[0]])
def test_nobody_is_accused_where_the_faithful_control_loses(audited):
    found = judged(audited, faithful=0.4 + NOISE[1])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no faithful control beats the model-free ones (faithful against edges" in found.summary


def test_faithfulness_is_second_and_decides_where_localization_cannot_speak():
    mute = qualities(0.3 + NOISE[0], faithful=0.4 + NOISE[1])
    evidence = made(mute, faithfulness=qualities(0.7 + NOISE[0]))
    found = p206.CHECK.finding(evidence)
    assert found.verdict is Verdict.PASS
    assert "(faithfulness)" in found.summary
    assert sum(s.name.startswith("gain") for s in found.statistics) == 4


def test_faithfulness_is_a_share_of_the_models_own_range():
    evidence = made(None, faithfulness=qualities(0.7 + NOISE[0]))
    scale = np.full(N, 2.0)
    scale[:6] = -1.0, 0.0, 0.01, 2.0, 2.0, 2.0
    scaled = dataclasses.replace(evidence.faithfulness, span=scale)
    found = p206.CHECK.finding(dataclasses.replace(evidence, faithfulness=scaled))
    whole = p206.CHECK.finding(evidence)
    assert found.statistics[0].value == pytest.approx(whole.statistics[0].value / 2, abs=0.01)
    assert found.statistics[0].n == N // 2 - 1  # three pairs have no scale, two share a picture


def test_with_one_pair_it_is_inconclusive():
    evidence = made({name: v[:1] for name, v in qualities(0.7 + NOISE[0]).items()})
    assert p206.CHECK.finding(evidence).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("gain", "wrong"), [(0.0, Verdict.PASS), (0.5, Verdict.VIOLATION)])
def test_at_either_end_of_the_zone_wrong_verdicts_stay_at_the_stated_rate(monkeypatch, gain, wrong):
    monkeypatch.setattr(p206, "RESAMPLES", 400)
    rng, runs, n = np.random.default_rng(1), 1000, 60
    roles = dataclasses.replace(ROLES, negative=("random", "edges", "center-prior"))
    picture, votes = np.arange(n) // 2, []
    for _ in range(runs):
        shared = rng.normal(size=n // 2)[picture]
        values = {name: shared + rng.normal(size=n) for name in ("audited", *roles.negative)}
        values["audited"] += gain
        measure = Measure("localization", np.arange(n), values)
        votes.append(p206.gains(measure, roles, "audited", picture, Zone(0.0, 0.5)).verdict)
    assert votes.count(wrong) <= at_most(0.05, runs)


def test_the_smallest_visible_gain_is_seen_as_often_as_stated(monkeypatch):
    monkeypatch.setattr(p206, "RESAMPLES", 400)
    rng, runs, n = np.random.default_rng(2), 400, 50
    effect = smallest_visible_effect("mean", n, alpha=0.1)
    zero, seen = np.zeros(n), 0
    for _ in range(runs):
        values = {"audited": effect + rng.normal(size=n), "random": zero - 9, "edges": zero}
        measure = Measure("localization", np.arange(n), values)
        found = p206.gains(measure, ROLES, "audited", np.arange(n), Zone(0.0, 0.04))
        seen += found.verdict is Verdict.PASS
    assert 0.73 < seen / runs < 0.87
