"""Whose line is named: the explainer's, not that of a library that the model is made of."""

import copy

import pytest
import torch
from torch import nn

from audit.explainers.contract import Explainer
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import chain_tower
from audit.trace.tracing import TracedPair, trace_pair
from tests.any_model import any_stage, logits_of

THIS = "tests/trace/test_frames.py"


class Small(nn.Module):
    """A model in one file with its explainer."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(4, 4, 3, 2), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.second(self.norm(self.first(x)).relu()).mean((2, 3)))


class Derived(Small):
    """A subclass whose forward is the base's."""


def on_a_copy(edit):
    def explain(model, images, targets):
        twin = copy.deepcopy(model)
        edit(twin)
        images = images.clone().requires_grad_(True)
        out = twin(images)
        score = getattr(out, "logits", out).gather(1, targets[:, None]).sum()
        return torch.autograd.grad(score, images)[0].abs().amax(1)

    return Explainer("on a copy", explain, source_file=__file__, source_line=1)


def test_helpers_of_a_library_are_the_models_own_code():
    stage = any_stage("transformers ViT")

    def edit(twin):
        twin.vit.layers[0].attention.q_proj.weight.data.mul_(1.5)

    model = copy.deepcopy(stage.model)
    trace, _ = trace_pair(on_a_copy(edit), model, stage.structure, stage.pairs[0])
    call = trace.attention[0]
    assert call.inside_model
    assert call.place.startswith(THIS)
    assert {c.place.rpartition(":")[0] for c in trace.changes} == {THIS}


@pytest.mark.parametrize("kind", [Small, Derived])
@torch.no_grad()
def test_a_model_in_the_explainers_own_file_is_told_from_it(kind):
    torch.manual_seed(0)
    model, images, targets = kind().eval(), torch.randn(1, 3, 16, 16), torch.tensor([2])
    pristine = pristine_copy(model)
    structure = Structure(pristine, chain_tower("image", pristine, logits_of, images), None)
    score = float(pristine(images)[0, 2])
    pair = TracedPair("pair-0", images, targets, {"logit": score})

    def edit(twin):
        twin.norm.eps = 0.5

    with torch.enable_grad():
        trace, _ = trace_pair(on_a_copy(edit), copy.deepcopy(model), structure, pair)
    (altered,) = trace.alterations
    line = int(altered.place.rpartition(":")[2])
    forward = on_a_copy(edit).explain.__code__.co_firstlineno
    assert altered.place.startswith(THIS)
    assert forward < line < forward + 7
