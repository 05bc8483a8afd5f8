import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audit.engine.profiles import SIZES
from audit.evidence import ladder as gathering
from audit.evidence.reference import class_scores, gather_reference
from audit.evidence.rung_scores import RungScores
from audit.interventions.degrading import Rung
from audit.models.ladder_checkpoints import find_checkpoints
from tests.gathered import gathered


@pytest.fixture
def measured(context_for, tmp_path):
    """A ladder of the model, which knows nothing, and of checkpoints with some noise."""

    def measure(*noises):
        context, generator = context_for("gradient"), torch.Generator().manual_seed(1)
        files = []
        for place, noise in enumerate(noises):
            state = {
                n: t + noise * torch.randn(t.shape, generator=generator)
                for n, t in context.pristine.state_dict().items()
            }
            files.append(str(tmp_path / f"{place}.safetensors"))
            save_file(state, files[-1])
        checkpoints = find_checkpoints(context.model, files)
        context = dataclasses.replace(context, checkpoints=checkpoints)
        found = gathered(context, "rung_faithfulness")
        return context, found.reference, found.ladder, found.faithfulness, found.rung_faithfulness

    return measure


def test_checkpoints_are_rungs_of_a_family_of_their_own(measured):
    context, _, ladder, *_ = measured(0.2, 0.5)
    assert [r.family for r in ladder.rungs] == ["unmodified", "checkpoint", "checkpoint"]
    assert [r.sha256 for r in ladder.rungs] == [None, *(c.sha256 for c in context.checkpoints)]
    assert all(r.name.endswith(f"{i}.safetensors") for i, r in enumerate(ladder.rungs[1:]))
    assert ladder.identity_error == 0


def test_accuracy_and_maps_are_those_of_the_checkpoint(measured):
    context, reference, ladder, _, rungs = measured(0.5)
    module = context.checkpoints[0].load(context.pristine)
    best = class_scores(context, module).argmax(1).numpy()
    expected = reference.present[np.arange(len(best)), best]
    assert np.array_equal(ladder.correct[1], expected)
    for name in ("gradient", "attention-logit-gradient"):
        first, second = rungs.gaps[name]
        assert not np.allclose(first, second)


def test_a_checkpoint_that_hardly_differs_changes_hardly_anything(measured):
    _, _, ladder, _, rungs = measured(1e-7)
    assert np.array_equal(ladder.correct[0], ladder.correct[1])
    assert np.allclose(rungs.span[0], rungs.span[1], atol=1e-4)


def test_degraded_rungs_come_before_the_checkpoints(context_for, monkeypatch):
    all_apart(monkeypatch)
    context = context_for("gradient")
    steps = gathering.ladder_steps(context, gather_reference(context))
    names = [step.info.name for step in steps]
    assert len(set(names)) == len(names) == 1 + 2 * (7 + 2)
    assert {s.info.family for s in steps} == {"unmodified", "weight-noise", "random-blocks"}
    assert all(step.info.sha256 is None for step in steps)


def all_apart(monkeypatch):
    """A model that knows something, whose rungs are all worth their maps."""
    monkeypatch.setattr(gathering, "knows_something", lambda _: True)
    monkeypatch.setattr(gathering, "lie_apart", lambda *_: True)


def test_a_second_draw_is_made_only_where_the_first_gives_too_few_rungs(context_for, monkeypatch):
    all_apart(monkeypatch)
    sizes = dataclasses.replace(SIZES["default"], rungs=10)
    context = context_for("gradient", sizes=sizes)
    steps = gathering.ladder_steps(context, gather_reference(context))
    assert len(steps) == 1 + 7 + 2
    assert {step.info.seed for step in steps} == {0}


def test_rungs_within_noise_of_another_are_left_out_but_for_those_given(measured, monkeypatch):
    context, reference, *_ = measured(1e-7, 2e-7)
    monkeypatch.setattr(gathering, "knows_something", lambda _: True)
    monkeypatch.setattr(gathering, "spread_strengths", lambda *_: (1e-7, 2e-7))
    monkeypatch.setattr(gathering, "default_ladder", lambda _, seeds, strengths: tuple(
        Rung("weight-noise", s, seed) for s in (0, *strengths["weight-noise"]) for seed in seeds
    ))  # fmt: skip
    given = [step.info.name for step in gathering.ladder_steps(context, reference)]
    assert given == ["unmodified", *(f"checkpoint {c.name}" for c in context.checkpoints)]
    own = tuple(dataclasses.replace(c, own=True) for c in context.checkpoints)
    steps = gathering.ladder_steps(dataclasses.replace(context, checkpoints=own), reference)
    assert [step.info.name for step in steps] == ["unmodified"]


def test_rungs_chosen_before_are_the_ladder(measured):
    context, reference, ladder, *_ = measured(0.2, 0.5)
    again = dataclasses.replace(context, rungs=ladder.rungs[:2])
    steps = gathering.ladder_steps(again, reference)
    assert [step.info for step in steps] == list(ladder.rungs[:2])


@pytest.mark.parametrize(("gained", "lost", "apart"), [(9, 2, True), (8, 5, False), (0, 0, False)])
def test_accuracies_lie_apart_beyond_a_standard_error(gained, lost, apart):
    one, other = np.zeros(50, bool), np.zeros(50, bool)
    one[:gained], other[20 : 20 + lost] = True, True
    one[40:], other[40:] = True, True
    assert gathering.lie_apart(one, other) is apart


def test_the_full_profile_degrades_in_every_way(context_for, monkeypatch):
    all_apart(monkeypatch)
    context = context_for("gradient", sizes=SIZES["full"])
    infos = [step.info for step in gathering.ladder_steps(context, gather_reference(context))]
    for family in gathering.GRADES:
        strengths = {info.strength for info in infos if info.family == family}
        assert len(strengths) == 7
    assert len(infos) == len({info.name for info in infos}) == 1 + 3 * (3 * 7 + 2)


def test_the_first_rung_has_the_faithfulness_of_the_model_itself(measured):
    _, _, _, own, rungs = measured(0.5)
    assert list(own.gaps) == list(own.other_gaps) == list(rungs.gaps)
    assert np.array_equal(own.probed, rungs.probed)
    assert np.array_equal(own.span, rungs.span[0])
    for name, gaps in own.gaps.items():
        assert np.array_equal(gaps, rungs.gaps[name][0]), name
        assert not np.allclose(gaps, own.other_gaps[name]), name


@pytest.mark.parametrize(("end", "halved"), [(0.1, True), (1.0, False)])
def test_a_step_over_which_the_model_falls_is_halved(context_for, monkeypatch, end, halved):
    """A model whose accuracy falls evenly from 1 to chance at one strength of noise."""
    context = context_for("gradient")
    monkeypatch.setattr(gathering, "apply_rung", lambda *_: nn.Identity())
    pictures = 64
    present = np.zeros((pictures, 4), dtype=bool)
    present[:, 0] = True
    scores = present.astype(float)
    given = {"present": present, "scores": scores}
    reference = dataclasses.replace(gather_reference(context), **given)

    def scored(step):
        right = round(pictures * max(0.25, 1 - 0.75 * step.info.strength / end))
        wrong = torch.tensor(scores).roll(1, 1)
        return torch.cat([torch.tensor(scores)[:right], wrong[right:]])

    class Scored(RungScores):
        def of(self, steps, phase=""):
            return [scored(step) for step in steps]

    parts = context.parts()
    found = gathering.spread_strengths(context, parts, reference, "weight-noise", Scored(context))
    between = [s for s in found if 0.05 * end < s < 0.95 * end]
    assert len(found) == 7
    assert len(between) >= 4
    assert (not set(found) <= set(gathering.GRADES["weight-noise"])) is halved
