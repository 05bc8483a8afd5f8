"""Methods that follow the class token, on the tower of another library than open_clip."""

import pytest
import torch

from audit.explainers.attention_pass import attention_pass, pairs_of
from audit.explainers.binding import bound
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.registry import load_explainer
from audit.explainers.transformer_attribution import relevance_of_last_tokens
from audit.models.loading import load_model

EXACT = (
    "grad-attention",
    "grad-sam?start=4",
    "attcat?start=4",
    "game?start=4",
    "legrad?score=model&start=4",
    "tam?steps=2",
    "clip-surgery",
    "libra-grad",
    "attn-lrp",
    "transformer-attribution?start=4",
    "skip-plus",
    "tis?masks=8",
    "vit-cx",
)


@pytest.fixture(scope="module")
def model():
    return load_model("timm:test_vit", "random")


@pytest.mark.parametrize("name", EXACT)
def test_scores_are_those_of_the_model(name, model):
    size = model.interface.image_size(model.module)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([1, 5])
    explainer = bound(load_explainer(name), model, torch.arange(8))
    found = explainer.explain(model.module, images, targets)
    with torch.no_grad():
        expected = model.module(images)[torch.arange(2), targets]
    torch.testing.assert_close(found.scores.detach(), expected, atol=1e-6, rtol=1e-6)
    assert found.maps.shape == (2, 10, 10)
    assert (found.maps.flatten(1).std(1) > 0).all()


def test_a_model_without_a_class_token_is_told():
    averaging = load_model("timm:test_vit2", "random")
    with pytest.raises(NeedsHeadsError, match="reads the mean of tokens"):
        bound(load_explainer("game"), averaging, torch.arange(8)).explain(
            averaging.module, torch.zeros(1, 3, 160, 160), torch.tensor([1])
        )


def test_relevance_begins_at_the_weights_of_the_class(model):
    """The head of a class is one linear layer on what the last norm gives."""
    size = model.interface.image_size(model.module)
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    interface, seen = model.interface, []
    handle = model.module.norm.register_forward_hook(lambda _, __, out: seen.append(out))
    model.module(images)
    handle.remove()
    products = (seen[0][0, 0] * model.module.head.weight[3]).clamp(min=0).detach()
    pairs = pairs_of(model.module, images, torch.tensor([3]), interface)
    found = relevance_of_last_tokens(attention_pass(pairs), torch.tensor([True]))
    torch.testing.assert_close(found[0, 0], products / products.sum(), rtol=1e-4, atol=1e-7)
    assert not found[0, 1:].any()
