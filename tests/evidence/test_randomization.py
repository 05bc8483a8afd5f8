import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence.kinds import Randomization
from audit.evidence.reference import gather_reference
from audit.evidence.store import load, save
from audit.explainers.contract import Explanation
from audit.interventions.randomizing import cascade, share_reached
from audit.result.finding import Verdict
from principles.unmodified_model.p107_depends_on_model import CHECK
from tests.gathered import gathered


def judged(context, found, no_evidence):
    evidence = dataclasses.replace(
        no_evidence(context), reference=gather_reference(context), randomization=found
    )
    return CHECK.finding(evidence)


@pytest.mark.parametrize("name", ["edges", "center-prior", "random"])
def test_maps_that_ignore_the_model_survive(context_for, no_evidence, name):
    context = context_for(name)
    found = gathered(context, "randomization").randomization
    assert (found.similarity[name] == 1).all()
    assert (found.change == 0).all()
    assert judged(context, found, no_evidence).verdict is Verdict.VIOLATION


def test_a_gradient_does_not_survive(context_for, no_evidence):
    context = context_for("attention-logit-gradient")
    found = gathered(context, "randomization").randomization
    assert found.stages[0] == "unmodified"
    assert found.stages[-2:] == ("embedding", "both towers")
    assert found.similarity["attention-logit-gradient"].shape == (len(found.stages), 2, 5)
    assert (found.similarity["attention-logit-gradient"][0] == 1).all()
    assert (found.reached == 1).all()
    assert judged(context, found, no_evidence).verdict is not Verdict.VIOLATION


def test_a_parameter_that_is_missed_is_counted(context_for):
    context = context_for("edges")
    parts = context.parts()
    *_, last = cascade(context.pristine, parts.image, 0)
    share = share_reached(context.pristine, last.model, parts.apart)
    text = sum(
        p.numel()
        for n, p in context.pristine.named_parameters()
        if not n.startswith("visual.") and n != "logit_scale"
    )
    total = sum(p.numel() for p in context.pristine.parameters()) - 1
    assert share == pytest.approx(1 - text / total)


def test_a_map_of_the_last_norm_only_survives_the_image_tower(context_for):
    """Depends on the text tower alone: only the last stage changes it."""

    def of_the_text(model, images, tokens):
        feature = model.encode_text(tokens, normalize=True)
        return feature.reshape(len(images), 4, 4)

    found = gathered(context_for(of_the_text), "randomization").randomization
    assert (found.similarity["planted"][:-1] == 1).all()
    assert (found.similarity["planted"][-1] < 1).all()


def test_an_explainer_of_the_text_is_judged_by_its_tokens(context_for, no_evidence):
    def of_tokens(model, images, tokens):
        return Explanation(
            torch.zeros(len(images), 4, 4), token_maps=model.token_embedding(tokens)[..., 0]
        )

    context = context_for(of_tokens)
    found = gathered(context, "randomization").randomization
    assert found.maps.shape == (5, 1, 7)
    assert (found.change > 0.1).all()
    assert judged(context, found, no_evidence).verdict is not Verdict.VIOLATION


def test_unseeded_noise_is_no_dependence(context_for, no_evidence):
    rng = torch.Generator().manual_seed(0)
    context = context_for(lambda m, i, t: torch.rand(len(i), 4, 4, generator=rng))
    found = gathered(context, "randomization").randomization
    assert judged(context, found, no_evidence).verdict is Verdict.INCONCLUSIVE


def test_evidence_survives_the_disk(context_for, tmp_path):
    found = gathered(context_for("attention-logit-gradient"), "randomization").randomization
    save(tmp_path, "randomization", found)
    again = load(tmp_path, "randomization", Randomization)
    assert again.stages == found.stages
    assert np.array_equal(again.change, found.change)
    for name, values in found.similarity.items():
        assert np.array_equal(again.similarity[name], values)
