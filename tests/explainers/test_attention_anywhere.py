"""Attention methods on models of any library, against each model's own autograd."""

import pytest
import torch

from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.model_needs import lacking
from audit.explainers.registry import load_explainer
from audit.models import attention_pooling
from audit.models.python_object import model_of
from tests.block_models import drawn, timm_model
from tests.known_towers import BUILD, CLASSES, known_model, pairs_of

PROJECTED = {
    "timm class token": ("blocks.1.attn.proj", "blocks.1.attn.qkv"),
    "timm average": ("blocks.1.attn.proj", "blocks.1.attn.qkv"),
    "timm attention pooling": ("attn_pool.proj", "attn_pool.kv"),
    "transformers class token": ("vit.layers.1.attention.o_proj", "vit.layers.1.attention.v_proj"),
    "transformers both": (
        "dinov2.encoder.layer.1.attention.o_proj", "dinov2.encoder.layer.1.attention.v_proj",
    ),
    "transformers CLIP": (
        "vision_model.encoder.layers.1.self_attn.out_proj",
        "vision_model.encoder.layers.1.self_attn.v_proj",
    ),
}  # fmt: skip
"""Where the mixed values are projected, and where the values end what a layer gives."""


def explained(model, spec, images, targets):
    explainer = bound(load_explainer(spec), model, None)
    return run_explainer(explainer, model.module, images, targets)


def slow_map(model, name, image, target):
    """ReLU of sum over queries and channels of gradient times value, by hooks on the model."""
    projection, values = (model.module.get_submodule(path) for path in PROJECTED[name])
    seen = {}
    handles = [
        projection.register_forward_pre_hook(lambda _, args: seen.update(mixed=args[0])),
        values.register_forward_hook(lambda _, __, out: seen.update(values=out)),
    ]
    with torch.enable_grad():
        score = model.score(image[None].requires_grad_(), target[None])
        (slope,) = torch.autograd.grad(score, seen["mixed"])
    for handle in handles:
        handle.remove()
    slope, value = slope[0].reshape(-1, 32), seen["values"][0, -16:, -32:].detach()
    return (slope @ value.T).sum(0).relu().reshape(4, 4), score.detach()


@pytest.mark.parametrize("name", PROJECTED)
def test_gradients_by_attention_are_the_models_own(name):
    model = known_model(name, torch.float64)
    images, targets = pairs_of(model)
    for spec in ("grad-eclip", "attention-eclip"):
        found = explained(model, f"{spec}?heads=model&weight=none", images, targets)
        for i, (image, target) in enumerate(zip(images, targets, strict=True)):
            expected, score = slow_map(model, name, image, target)
            torch.testing.assert_close(found.maps[i], expected, rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(found.scores[i], score[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", BUILD)
def test_the_score_is_the_models(name):
    model = known_model(name)
    images, targets = pairs_of(model)
    own = model.score(images, targets).detach()
    for spec in ("grad-attention", "attention-logit-gradient", "grad-eclip?heads=model"):
        found = explained(model, spec, images, targets)
        assert found.maps.shape == (3, 4, 4)
        torch.testing.assert_close(found.scores, own, rtol=1e-4, atol=1e-5)
    released = explained(model, "grad-eclip", images, targets)
    assert float((released.scores - own).abs().max()) > 1e-4
    torch.testing.assert_close(
        released.maps, explained(model, "attention-eclip", images, targets).maps, **CLOSE
    )


CLOSE = {"rtol": 1e-3, "atol": 1e-5}


def attention_of(model, images):
    """Probabilities of timm's last block, from what its layers give."""
    layer, heads = model.module.blocks[-1].attn, 4
    seen = []
    handle = layer.qkv.register_forward_hook(lambda _, __, out: seen.append(out))
    model.module(images)
    handle.remove()
    q, k, _ = seen[0].unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return (q @ k.mT * layer.scale).softmax(-1).detach()


@pytest.mark.parametrize(
    ("name", "rows"), [("timm class token", [0]), ("timm average", range(1, 17))]
)
def test_raw_attention_is_that_of_what_is_read(name, rows):
    model = known_model(name, torch.float64)
    images, targets = pairs_of(model)
    found = explained(model, "raw-attention", images, targets).maps
    expected = attention_of(model, images)[:, :, list(rows), 1:].mean((1, 2))
    torch.testing.assert_close(found.flatten(1), expected, rtol=1e-10, atol=1e-12)


def test_where_there_is_no_one_reading_raw_attention_is_refused():
    model = known_model("transformers both")
    for name in ("raw-attention", "inverted:raw-attention"):
        with pytest.raises(NeedsHeadsError, match=r"one way.*beside the mean.*grad-attention"):
            bound(load_explainer(name), model, None)
    bound(load_explainer("grad-attention"), model, None)


@pytest.mark.parametrize("spec", ["grad-eclip", "attention-eclip"])
def test_pictures_of_another_size_are_refused_where_their_embedding_is_not_known(spec):
    model = known_model("timm class token")
    with pytest.raises(NeedsHeadsError, match=r"input=own-size.*give input=model"):
        bound(load_explainer(f"{spec}?input=own-size"), model, None)


def test_a_pooling_that_is_not_known_has_no_attention_to_show(monkeypatch):
    monkeypatch.setattr(attention_pooling, "TABLE", {})
    module = drawn(timm_model("vit_base_patch16_siglip_224", depth=4))
    model = model_of(module, known_model("timm average").interface.pictures.function, CLASSES)
    assert model.anatomy is not None
    assert set(lacking(model)) == {"heads", "class token", "any size", "text tower"}
    with pytest.raises(NeedsHeadsError, match=r"neither the class token.*grad-cam"):
        bound(load_explainer("grad-attention"), model, None)
