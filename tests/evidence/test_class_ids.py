"""Evidence about a model whose targets are class ids, and whose inside is not known."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.engine.assembly import model_info
from audit.evidence.context import Context, all_maps
from audit.evidence.executed import strongest_classes
from audit.evidence.explained_towers import text_tokens
from audit.evidence.kinds import Roles
from audit.evidence.map_faithfulness import measured
from audit.evidence.reference import class_scores, gather_reference
from audit.explainers.contract import Explainer, Explanation
from audit.models.pristine import pristine_copy
from tests.class_head import class_pairs, model_with_class_head
from tests.evidence.conftest import SIZES

PATCHES = ("patches.weight", "patches.bias")


def gradient(model, images, tokens):
    images.requires_grad_()
    logits = model(images)
    chosen = logits[torch.arange(len(images)), tokens]
    (slope,) = torch.autograd.grad(chosen.sum(), images)
    return slope.abs().amax(1)


@pytest.fixture
def context():
    model = model_with_class_head()
    pairs = class_pairs(model)
    roles = Roles("gradient", (), (), None, True, False, False)
    explainers = {"gradient": Explainer("gradient", gradient)}
    pristine = pristine_copy(model.module)
    return Context(model, pristine, pairs, explainers, roles, SIZES, 0, lambda *_: None)


def test_every_class_is_scored(context):
    with torch.no_grad():
        logits = context.model.module(context.pairs.images)
    scores = class_scores(context, context.pristine)
    assert torch.allclose(scores, logits, atol=1e-6)


def test_an_explainer_gets_class_ids_by_position(context):
    images = context.pairs.images[context.pairs.picture]
    expected = gradient(context.model.module, images.clone(), context.pairs.labels)
    found = all_maps(context.audited, context.model, context.pairs)
    assert torch.equal(found, torch.nn.functional.adaptive_avg_pool2d(expected[:, None], 2)[:, 0])
    assert torch.equal(context.maps(context.audited, context.model.module), found)


def test_faithfulness_spans_from_the_full_to_the_empty_logit(context):
    probed = torch.arange(6)
    maps = {"gradient": all_maps(context.audited, context.model, context.pairs)}
    span = measured(context, context.pristine, maps, probed).span
    images, targets = context.pairs.batch(probed, "cpu", torch.float32)
    empty = images.mean((2, 3), keepdim=True).expand_as(images)
    with torch.no_grad():
        fall = context.model.module(images) - context.model.module(empty)
    assert span == pytest.approx(fall[torch.arange(6), targets].double().numpy(), abs=1e-6)


def test_the_model_is_described_without_its_inside(context):
    found = gather_reference(context)
    assert (found.image_blocks, found.text_blocks, found.image_grid) == (0, 0, (2, 2))
    info = model_info(context.model)
    assert (info.image_blocks, info.image_heads, info.text_blocks) == (None, None, None)
    assert info.parameters == sum(p.numel() for p in context.model.module.parameters())


def test_a_class_head_has_no_text_to_explain(context):
    def of_tokens(model, images, targets):
        return Explanation(torch.zeros(len(images), 2, 2), token_maps=torch.ones(len(images), 3))

    assert text_tokens(context, Explainer("tokens", of_tokens)) is None


def test_the_weights_of_a_class_head_are_drawn_first(context):
    parts = context.parts()
    assert parts.image == {"head": ("head.weight", "head.bias"), "patches": PATCHES}
    assert (parts.head, parts.text) == (("head",), {})
    assert parts.image_weights == PATCHES


def test_rivals_are_the_strongest_by_rank_however_large_the_logits(context):
    reference = gather_reference(context)
    logits = np.array([[100.0, 50.0, 20.0, -30.0]])
    present = np.array([[False, False, False, True]])
    reference = dataclasses.replace(reference, scores=logits, present=present)
    sizes = dataclasses.replace(context.sizes, executed_candidates=2)
    few = dataclasses.replace(context, sizes=sizes)
    assert strongest_classes(few, reference).tolist() == [[0, 3]]
