import copy
import re
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from audit.explainers.contract import Explainer
from audit.models.pristine import pristine_copy
from audit.trace.integrity import Integrity
from audit.trace.tracing import trace_pair


@pytest.fixture
def model(small_stage):
    return copy.deepcopy(small_stage.model)


@pytest.fixture
def integrity(model):
    return Integrity(model, pristine_copy(model))


def test_an_untouched_model_has_no_changes(integrity, model, small_stage):
    model(small_stage.pair.image, small_stage.pair.targets)
    assert integrity.verify() == []


def test_gradients_left_on_parameters_are_told_and_cleared(integrity, model, small_stage):
    model(small_stage.pair.image, small_stage.pair.targets)[0].sum().backward()
    (told,) = integrity.verify()
    assert "gradients left" in told.what
    assert not told.altering
    assert all(p.grad is None for p in model.parameters())
    assert integrity.verify() == []


def test_copies_are_independent(model):
    copied = pristine_copy(model)
    assert not any(p.requires_grad for p in copied.parameters())
    model.visual.proj.data.zero_()
    assert copied.visual.proj.abs().sum() > 0


def _in_place(model):
    with torch.no_grad():
        model.visual.proj.add_(1e-7)


def _put_back(model):
    kept = model.visual.proj.detach().clone()
    with torch.no_grad():
        model.visual.proj.zero_().copy_(kept)


def _method(model):
    model.visual.forward = types.MethodType(lambda self, x: x, model.visual)


CHANGES = {
    "in place": (_in_place, "weights", "visual.proj", "values changed"),
    "put back": (_put_back, "weights", "visual.proj", "put back"),
    "through data": (
        lambda m: m.visual.ln_post.bias.data.add_(1), "weights", "visual.ln_post.bias", "values"
    ),
    "buffer": (lambda m: m.attn_mask.zero_(), "weights", "attn_mask", "values"),
    "other shape": (
        lambda m: setattr(m.visual.ln_post, "bias", nn.Parameter(torch.zeros(1))),
        "weights", "visual.ln_post.bias", "→",
    ),
    "method": (_method, "structure", "visual", "method forward replaced"),
    "heads": (
        lambda m: setattr(m.visual.transformer.resblocks[1].attn, "num_heads", 1),
        "structure", "visual.transformer.resblocks.1.attn", "num_heads 4 → 1",
    ),
    "child": (
        lambda m: setattr(m.visual, "ln_post", nn.Identity()),
        "structure", "visual", "child ln_post",
    ),
    "training": (lambda m: m.visual.train(), "structure", "visual", "training False → True"),
    "flag": (
        lambda m: m.visual.proj.requires_grad_(False), "structure", "visual", "requires_grad"
    ),
    "hook": (
        lambda m: m.visual.register_forward_hook(print), "structure", "visual", "left behind"
    ),
    "tensor hook": (
        lambda m: m.visual.proj.register_hook(print), "structure", "visual.proj", "hooks"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_named(name, model, integrity):
    change, kind, path, what = CHANGES[name]
    change(model)
    found = integrity.verify()
    assert any(c.kind == kind and c.path == path and what in c.what for c in found), found


def test_methods_of_classes_and_library_functions_are_put_back(model, integrity):
    block = type(model.visual.transformer.resblocks[0])
    original, softmax = block.attention, F.softmax
    block.attention = lambda *args, **kwargs: None
    F.softmax = None
    assert {c.what for c in integrity.verify()} >= {
        "attention of class ResidualAttentionBlock replaced", "function replaced",
    }  # fmt: skip
    integrity.restore_library()
    assert block.attention is original
    assert F.softmax is softmax
    assert integrity.verify() == []


def test_a_copy_with_other_weights_is_named_with_one_of_them(traced):
    def explain(model, images, tokens):
        twin = copy.deepcopy(model)
        with torch.no_grad():
            twin.visual.ln_post.bias[3] += 0.25
        images = images.clone().requires_grad_(True)
        score = (twin.encode_image(images) * twin.encode_text(tokens)).sum()
        return torch.autograd.grad(score, images)[0].abs().amax(1)

    (change,) = traced(explain).changes
    assert (change.kind, change.when) == ("weights", "during")
    assert re.fullmatch(
        r"run as a copy in which 1 of \d+ tensors differ, (visual\.)?ln_post\.bias by up to 0\.25",
        change.what.replace("visual.visual", "visual"),
    )


def test_what_is_left_behind_is_placed_at_the_explainer(small_stage):
    def explain(model, images, tokens):
        model.visual.register_forward_hook(lambda *_: None)
        return (model.encode_image(images) * model.encode_text(tokens)).sum() * images.mean(1)

    explainer = Explainer("leaves", explain, source_file=__file__, source_line=9)
    model = copy.deepcopy(small_stage.model)
    trace, _ = trace_pair(explainer, model, small_stage.structure, small_stage.pair)
    (change,) = trace.changes
    assert "left behind" in change.what
    assert change.place.endswith("test_integrity.py:9")
