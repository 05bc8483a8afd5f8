"""P205: does the map of an absent text leave the object?"""

import dataclasses

import numpy as np
import pytest
import torch

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence.text_specificity import absent_classes
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from audit.result.finding import Verdict
from audit.statistics.power import smallest_visible_effect
from principles.indifference import Zone
from principles.performance_alignment import p205_text_specific as p205
from principles.performance_alignment import specificity_drops
from tests.gathered import gathered
from tests.principles.alignment import ROLES, at_most, made, with_absent

N = 80
NOISE = 0.1 * np.random.default_rng(4).normal(size=(6, N))
RIGHT = {
    "audited": 0.8 + NOISE[0],
    "faithful": 0.7 + NOISE[1],
    "random": NOISE[2],
    "edges": NOISE[3],
}


def judged(audited, faithful=0.2 + NOISE[5], random=RIGHT["random"], edges=RIGHT["edges"], **given):
    absent = {"audited": audited, "faithful": faithful, "random": random, "edges": edges}
    return p205.CHECK.finding(with_absent(made(RIGHT, **given), absent))


def test_maps_that_leave_the_object_pass():
    found = judged(0.2 + NOISE[4])
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].n == N // 2
    assert found.statistics[0].value == pytest.approx(0.6, abs=0.05)
    assert found.statistics[0].smallest_visible_effect < 0.1


@pytest.mark.parametrize("moved", [0.0, 0.001, -0.3])
def test_maps_that_stay_are_a_violation_with_the_worst_pair_as_witness(moved):
    found = judged(RIGHT["audited"] - moved * np.linspace(0.5, 1, N))
    assert found.verdict is Verdict.VIOLATION
    assert len(found.samples) == 3
    assert found.witness.pair == found.samples[0]
    assert found.figures[0].maps[1].title == "absent: class 10"


def test_between_is_inconclusive_and_says_how_many_pairs_it_takes():
    found = judged(RIGHT["audited"] - 0.021 + NOISE[4] * 2 - 2 * NOISE[4].mean())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "pairs would settle" in found.summary


@pytest.mark.parametrize(
    ("controls", "why"),
    [
        ({"faithful": RIGHT["faithful"]}, "no faithful control leaves the object"),
        ({"random": RIGHT["random"] - 0.5}, "the model-free control random leaves the object"),
    ],
)
@pytest.mark.parametrize("audited", [RIGHT["audited"], RIGHT["audited"] - 0.5])
def test_controls_decide_whether_the_check_can_speak(controls, why, audited):
    found = judged(audited, **controls)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert why in found.summary


def test_without_masks_or_absent_classes_it_is_not_applicable():
    evidence = made(RIGHT)
    none = with_absent(evidence, {})
    every = with_absent(evidence, dict.fromkeys(RIGHT, np.full(N, np.nan)), np.full(N, -1))
    for found in (none, every):
        assert p205.CHECK.finding(found).verdict is Verdict.NOT_APPLICABLE


def test_declaring_that_the_text_is_not_read_is_no_excuse():
    roles = dataclasses.replace(ROLES, text_specific=False)
    found = judged(RIGHT["audited"], roles=roles)
    assert found.verdict is Verdict.VIOLATION
    assert "declares that it does not read the target" in found.detail[0]


@pytest.mark.parametrize(("truth", "wrong"), [(0.0, Verdict.PASS), (0.1, Verdict.VIOLATION)])
def test_at_either_end_of_the_zone_wrong_verdicts_stay_at_the_stated_rate(
    monkeypatch, truth, wrong
):
    monkeypatch.setattr(specificity_drops, "RESAMPLES", 400)
    rng, runs, picture = np.random.default_rng(1), 1000, np.arange(60) // 2
    votes = [
        Zone(0.0, 0.1).decide(
            p205.drop(truth + rng.normal(size=30)[picture] + rng.normal(size=60), picture)
        )
        for _ in range(runs)
    ]
    assert votes.count(wrong) <= at_most(0.025, runs)


def test_the_smallest_visible_difference_is_seen_as_often_as_stated(monkeypatch):
    monkeypatch.setattr(specificity_drops, "RESAMPLES", 400)
    rng, runs, n = np.random.default_rng(2), 400, 40
    effect = smallest_visible_effect("mean", n)
    drops = [p205.drop(effect + rng.normal(size=n), np.arange(n)) for _ in range(runs)]
    assert 0.73 < np.mean([d.above(0.0) for d in drops]) < 0.87


def test_absent_classes_are_absent_evenly_drawn_and_repeatable():
    rng = np.random.default_rng(0)
    present = np.zeros((6000, 5), bool)
    present[:, 2] = True
    drawn = absent_classes(present, rng)
    assert not present[np.arange(6000), drawn].any()
    assert np.bincount(drawn).tolist() == pytest.approx([1500, 1500, 0, 1500, 1500], abs=150)
    assert (absent_classes(present, np.random.default_rng(0)) == drawn).all()
    assert absent_classes(np.ones((3, 5), bool), rng).tolist() == [-1, -1, -1]


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return load_model()


def of_explainer(spec, model, **changes):
    settings = Settings(explainer=spec, samples=6)
    context = build_context(settings, model, load_explainer(spec), silent)
    pairs = dataclasses.replace(context.pairs, **changes)
    context = dataclasses.replace(context, pairs=pairs)
    return gathered(context, "text_specificity")


def test_gathered_maps_answer_the_absent_text(model):
    evidence = of_explainer("grad-attention", model)
    other, right = evidence.text_specificity, evidence.explanations
    reference = evidence.reference
    assert not reference.present[reference.picture, other.absent].any()
    assert list(other.localization) == [
        "grad-attention",
        *evidence.roles.positive,
        *evidence.roles.negative,
    ]
    assert np.abs(other.maps["grad-attention"] - right.maps["grad-attention"]).max() > 0
    for name in evidence.roles.negative:
        assert (other.maps[name] == right.maps[name]).all()
    drop = np.nanmean(right.localization["grad-attention"]["average precision"]) - np.nanmean(
        other.localization["grad-attention"]["average precision"]
    )
    assert drop > 0.1


def test_gathered_maps_of_a_method_without_text_do_not_move_at_all(model):
    evidence = of_explainer("raw-attention", model)
    for measure, values in evidence.explanations.localization["raw-attention"].items():
        assert (evidence.text_specificity.localization["raw-attention"][measure] == values).all()


def test_nothing_is_run_without_masks(model):
    other = of_explainer("edges", model, masks=None).text_specificity
    assert other.maps == other.localization == {}
