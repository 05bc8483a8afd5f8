"""Function-preserving edits of layers, found by following the tensors."""

import pytest
import timm
import torch
from torch import nn

from audit.interventions.copies import copy_with
from audit.interventions.function_preserving import (
    LAYER_EDITS,
    LayerEdit,
    apply_edit,
    layer_edits,
    proof,
    proven,
)
from audit.interventions.function_preserving.layer_chains import Chain, Normalized, layers_of
from audit.interventions.function_preserving.layer_edits import layer_replacements
from audit.models.model_under_audit import ModelUnderAudit
from tests.class_head import ClassHeadInterface
from tests.residual_network import residual_network

CLASSES = 5


class Logits(ClassHeadInterface):
    """All logits of a picture, of which a target chooses one."""

    def features(self, module, images):
        return module(images)

    def target_features(self, module, targets):
        return nn.functional.one_hot(targets, CLASSES).to(next(module.parameters()).dtype)


class Gate(nn.Module):
    """Two layers of which another one reads the hidden channels too."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        hidden = self.first(x).relu()
        return self.head((self.last(hidden) * hidden).mean((2, 3)))


class Looking(nn.Module):
    """Code that looks at values, around an MLP that does not."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, CLASSES))

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.mlp(x if x.mean() > 0 else 2 * x)


def plain():
    """Every kind of pair: grouped, depthwise, without bias, through a pooling into a class head."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 1), nn.ReLU6(),
        nn.Conv2d(6, 6, 1, groups=2), nn.BatchNorm2d(6, affine=False), nn.SiLU(),
        nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16, CLASSES),
    )  # fmt: skip


def model_of(module):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(0, 0.5)
                norm.running_var.uniform_(0.2, 2)
                if norm.affine:
                    norm.weight.data.uniform_(-1.5, 1.5)
                    norm.bias.data.normal_(0, 0.5)
    place = torch.device("cpu")
    return ModelUnderAudit("m", None, module.eval(), Logits(), place, torch.float32)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 3, 32, 32, generator=generator), torch.tensor([0, 3, 4])


def names(edits):
    return {e.name: [pair.place.removeprefix("layers ") for pair in e.pairs] for e in edits}


def test_pairs_are_found_by_what_feeds_what():
    found = layers_of(plain())
    assert found.chains == (
        Chain("0", ("1", "3"), "6", homogeneous=True),
        Chain("11", (), "15", homogeneous=True),
    )
    assert found.normalized == (Normalized("0", "1"), Normalized("8", "9"))
    assert names(layer_edits(plain())) == {
        "channel-permutation": ["0 to 6", "11 to 15"],
        "relu-scaling": ["0 to 6", "11 to 15"],
        "batch-norm-scaling": ["0 and 1", "8 and 9"],
        "batch-norm-folding": ["0 and 1"],
    }


def test_what_others_read_too_is_left_alone():
    assert names(layer_edits(Gate())) == {}


def test_an_mlp_is_found_within_code_that_looks_at_values():
    assert names(layer_edits(Looking())) == {"channel-permutation": ["mlp.0 to mlp.3"]}


def test_shared_layers_are_left_alone():
    layer = nn.Conv2d(3, 3, 1)
    assert names(layer_edits(nn.Sequential(layer, nn.ReLU(), layer))) == {}
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    tied[3].weight = nn.Parameter(tied[3].weight)
    tied[2].weight = tied[0].weight
    assert names(layer_edits(tied)) == {}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", LAYER_EDITS)
def test_edits_keep_the_function_but_not_the_weights(inputs, name, seed):
    model = model_of(plain())
    double = model.with_module(model_of(plain()).module)
    double.module.load_state_dict(model.module.state_dict())
    double = double.with_module(double.module.double())
    (edit,) = (e for e in layer_edits(double.module, seed) if e.name == name)
    for one in (edit, *edit.alone()):
        edited = apply_edit(double, one)
        changed = set(layer_replacements(double.module, one))
        assert changed
        assert proof(double, edited, inputs[0].double(), inputs[1]) <= 1e-12
        assert all((b > 0).all() for n, b in edited.named_buffers() if n.endswith("running_var"))
    again = [layer_replacements(double.module, edit) for _ in range(2)]
    assert all(torch.equal(again[0][n], again[1][n]) for n in again[0])


def test_a_residual_network_has_every_edit(inputs):
    model = residual_network()
    edits = layer_edits(model.module)
    assert {e.name: len(e.pairs) for e in edits} == {
        "channel-permutation": 8,
        "relu-scaling": 8,
        "batch-norm-scaling": 20,
        "batch-norm-folding": 20,
    }
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for edit in edits:
        assert proven(model, edit, images, torch.tensor([0, 1])) == edit
        assert proof(model, apply_edit(model, edit), images, torch.tensor([0, 1])) <= 1e-5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tf_efficientnet_lite0", {"channel-permutation", "relu-scaling", "batch-norm-scaling",
                                   "batch-norm-folding"}),
        ("vit_tiny_patch16_224", {"channel-permutation"}),
    ],
)  # fmt: skip
def test_models_of_timm_have_edits(name, expected):
    size = {"img_size": 32, "depth": 2} if "vit" in name else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = timm.create_model(name, num_classes=CLASSES, **size)
    model = model_of(module)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = [proven(model, e, images, torch.tensor([0, 1])) for e in layer_edits(module)]
    assert {e.name for e in found if e is not None} == expected


def test_an_edit_keeps_only_the_layers_where_it_is_proven(inputs):
    model = model_of(plain())
    (edit,) = (e for e in layer_edits(model.module) if e.name == "relu-scaling")
    wrong = Chain("6", (), "8", homogeneous=True)  # through a ReLU6, into a grouped convolution
    planted = LayerEdit("relu-scaling", (edit.pairs[0], Chain("0", (), "6", True), edit.pairs[1]))
    kept = proven(model, planted, *inputs)
    assert kept is not None
    assert kept.pairs == edit.pairs
    assert wrong not in kept.pairs
    assert proven(model, LayerEdit("relu-scaling", (planted.pairs[1],)), *inputs) is None


def test_a_broken_edit_is_seen_by_the_proof(inputs):
    model = model_of(plain())
    (edit,) = (e for e in layer_edits(model.module) if e.name == "batch-norm-folding")
    changed = dict(layer_replacements(model.module, edit))
    del changed["1.running_mean"]
    assert proof(model, copy_with(model.module, changed), *inputs) > 1e-4
