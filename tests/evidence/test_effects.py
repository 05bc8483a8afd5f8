import dataclasses

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from audit.evidence import effects
from audit.evidence.effects import gather_effects, over_windows
from audit.evidence.explanations import gather_explanations
from audit.evidence.reference import gather_reference
from audit.interventions.probing import square_windows
from audit.metrics.agreement import effect_captured
from audit.result.finding import Verdict
from principles.unmodified_model.p108_agrees_with_interventions import CHECK


def gathered(context):
    explanations = gather_explanations(context)
    return explanations, gather_effects(context, explanations)


def test_occlusion_agrees_with_itself(context_for):
    _, found = gathered(context_for("occlusion"))
    assert found.kinds == ("occlusion", "removal patching")
    assert found.agreement["occlusion"].shape == (2, 6)
    assert found.agreement["occlusion"][0].mean() > 0.8
    assert found.null_difference < found.tolerance
    assert set(found.agreement) == {
        "occlusion", "attention-logit-gradient", "random", "center-prior", "edges",
    }  # fmt: skip
    assert (found.ceiling <= 1).all()


def test_effects_are_those_of_painting_by_hand(context_for):
    context = context_for("occlusion")
    _, found = gathered(context)
    pair = int(found.pairs[2])
    images, tokens = context.pairs.batch(torch.tensor([pair]), "cpu", torch.float32)
    painted = images.clone()
    painted[:, :, :16, 16:] = images.mean((2, 3), keepdim=True)
    anatomy = context.model.anatomy
    with torch.no_grad():
        drop = float(anatomy.scores(images, tokens) - anatomy.scores(painted, tokens))
    assert found.effects[0, 2, 0, 2] == pytest.approx(drop, abs=1e-6)  # windows do not overlap


def test_effects_are_not_the_explainers_to_corrupt(context_for, same_state):
    def vandal(model, images, tokens):
        model.visual.proj.data.zero_()
        return images.abs().sum(1)

    _, clean = gathered(context_for(lambda m, i, t: i.abs().sum(1)))
    _, found = gathered(context_for(vandal))
    assert np.array_equal(clean.effects, found.effects)


def test_windows_average_the_map():
    windows = square_windows((3, 3), 2, 2)
    maps = torch.arange(9.0).view(1, 3, 3)
    assert over_windows(maps, windows).tolist() == [[2.0, 3.0, 5.0, 6.0]]


def test_effect_captured_by_hand():
    captured = effect_captured(
        torch.tensor([[4.0, 3, 2, 1], [1.0, 2, 3, 4], [0.0, 0, 0, 0], [1.0, 2, 3, 4]]),
        torch.tensor([[4.0, 3, 2, 1], [4.0, 3, 2, 1], [4.0, 3, 2, 1], [1.0, 1, 1, 1]]),
        shares=(0.25, 0.5),
    )
    assert captured[:3].tolist() == pytest.approx([1.0, -1.0, 0.0])
    assert captured[3].isnan()


def test_effect_captured_between():
    # the second of four windows first: (3 - 2.5) / (4 - 2.5); then half: (5 - 5) / 2
    captured = effect_captured(
        torch.tensor([[1.0, 4, 3, 2]]), torch.tensor([[4.0, 3, 2, 1]]), shares=(0.25, 0.5)
    )
    assert captured.tolist() == pytest.approx([(1 / 3 + 0) / 2])


def test_effect_captured_needs_one_relevance_per_window():
    with pytest.raises((ValueError, TypeCheckError), match="effect"):
        effect_captured(torch.zeros(1, 4), torch.zeros(1, 3))


def test_a_probe_that_changes_without_patching_is_an_error(context_for, no_evidence, monkeypatch):
    monkeypatch.setattr(effects, "null_difference", lambda context, pictures: 0.01)
    context = context_for("occlusion")
    explanations, found = gathered(context)
    evidence = dataclasses.replace(
        no_evidence(context),
        effects=found,
        explanations=explanations,
        reference=gather_reference(context),
    )
    assert CHECK.finding(evidence).verdict is Verdict.ERROR
