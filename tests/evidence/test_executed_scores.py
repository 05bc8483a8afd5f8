"""What an explainer executes, asked of every class or told from a feature of each picture."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence import executed_scores
from audit.evidence.executed import strongest_classes
from audit.evidence.reference import gather_reference
from audit.evidence.smaller_batches import in_batches_that_fit
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model

PAIRS = 44


@pytest.fixture(scope="module")
def model():
    return load_model()


def context_of(model, explainer):
    settings = Settings(explainer="gradient", samples=PAIRS)
    return build_context(settings, model, explainer, silent)


def scores(context, monkeypatch, folder, explained):
    """The scores, and how many pairs were explained for them."""
    monkeypatch.setattr(executed_scores, "EXPLAINED", explained)
    counted, audited = [], context.audited

    def explain(model, images, targets):
        counted.append(len(images))
        return audited.explain(model, images, targets)

    explainers = {**context.explainers, context.roles.audited: Explainer("counted", explain)}
    tasks = context.tasks.of(folder / str(explained), "executed")
    context = dataclasses.replace(context, explainers=explainers, tasks=tasks)
    candidates = strongest_classes(context, gather_reference(context))
    found, how = executed_scores.scores_of_candidates(context, candidates, "answers")
    return found, how, sum(counted)


def _gradient_of(score):
    def explain(model, images, targets):
        images = images.detach().clone().requires_grad_()
        value = score(model, images, targets)
        (gradient,) = torch.autograd.grad(value.sum(), images)
        return gradient.abs().sum(1)

    return Explainer("own", explain)


def _of_shifted_features(model, images, targets):
    shifted = torch.nn.functional.normalize(model.encode_image(images) + 0.5, dim=-1)
    return 7.0 * (shifted * model.encode_text(targets, normalize=True)).sum(1)


def _of_features_that_follow_the_target(model, images, targets):
    texts = model.encode_text(targets, normalize=True)
    features = model.encode_image(images, normalize=True) + 0.3 * texts.roll(1, dims=1).abs()
    return (features * texts).sum(1)


@pytest.mark.parametrize("name", ["grad-eclip", "own"])
def test_a_feature_tells_what_asking_for_every_class_does(model, monkeypatch, tmp_path, name):
    own = _gradient_of(_of_shifted_features)
    context = context_of(model, own if name == "own" else load_explainer(name))
    few, how, fewer = scores(context, monkeypatch, tmp_path, 2)
    every, same, all_pairs = scores(context, monkeypatch, tmp_path, 10_000)
    assert (how, same) == ("gradient", "gradient")
    assert few == pytest.approx(every, abs=2e-5 * np.abs(every).max())
    pictures, candidates = every.shape
    assert all_pairs == pictures * candidates
    assert fewer == 2 * candidates + pictures - 2
    assert (pictures - 2) % context.batch_size() == 1  # a pair alone has a factor for any feature


def test_a_feature_that_follows_the_target_tells_nothing(model, monkeypatch, tmp_path):
    context = context_of(model, _gradient_of(_of_features_that_follow_the_target))
    few, _, as_many = scores(context, monkeypatch, tmp_path, 2)
    every, _, all_pairs = scores(context, monkeypatch, tmp_path, 10_000)
    assert as_many == all_pairs == every.size
    assert few == pytest.approx(every, abs=1e-6)


def test_an_explainer_that_exposes_no_score_has_none(model, monkeypatch, tmp_path):
    silent_one = Explainer("silent", lambda model, images, targets: images.abs().sum(1))
    found, how, asked = scores(context_of(model, silent_one), monkeypatch, tmp_path, 2)
    assert found is None
    assert how == "none"
    assert asked <= 20


def test_batches_that_were_halved_take_no_larger_ones_for_their_own(model, tmp_path):
    """A larger batch that was finished and kept has the same first pair, but more of them."""
    own = _gradient_of(_of_features_that_follow_the_target)
    context, calls = context_of(model, own), []

    def explain(model, images, targets):
        calls.append(len(images))
        if len(calls) == 2:
            raise MemoryError
        return own.explain(model, images, targets)

    explainers = {**context.explainers, context.roles.audited: Explainer("own", explain)}
    context = dataclasses.replace(
        context,
        model=dataclasses.replace(model),
        explainers=explainers,
        tasks=context.tasks.of(tmp_path, "executed"),
    )
    candidates = strongest_classes(context, gather_reference(context))[:12]

    def work():
        return executed_scores.scores_of_candidates(context, candidates, "answers")[0]

    found = in_batches_that_fit(context.model, context.batch_size, tmp_path, work)
    assert calls[2] < calls[0]
    afresh = dataclasses.replace(context, tasks=context.tasks.of(tmp_path, "afresh"))
    wanted, _ = executed_scores.scores_of_candidates(afresh, candidates, "answers")
    assert found == pytest.approx(wanted, abs=1e-6)
