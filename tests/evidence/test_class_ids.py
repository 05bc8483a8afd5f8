"""Evidence about a model whose targets are class ids, and whose inside is not known."""

import pytest
import torch

from audit.evidence.context import Context, all_maps
from audit.evidence.kinds import Roles
from audit.evidence.map_faithfulness import measured
from audit.evidence.reference import class_scores, gather_reference
from audit.explainers.contract import Explainer
from audit.models.anatomy import UnknownAnatomyError
from audit.models.pristine import pristine_copy
from tests.class_head import class_pairs, model_with_class_head
from tests.evidence.conftest import SIZES


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


def test_what_needs_the_inside_says_so(context):
    with pytest.raises(UnknownAnatomyError, match="class head"):
        gather_reference(context)
