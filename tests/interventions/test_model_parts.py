"""Where the weights of models lie that nobody describes."""

import dataclasses

import pytest
import torch
from torch import nn

from audit.interventions.copies import copy_with, weights_of
from audit.interventions.degrading import Rung, apply_rung
from audit.interventions.draws import generator_for, redrawn
from audit.interventions.model_parts import parts_of, staged
from audit.interventions.randomizing import cascade, share_reached
from audit.models.anatomy import UnknownAnatomyError
from audit.models.model_under_audit import ModelUnderAudit
from tests.audited import audited
from tests.class_head import ClassHeadInterface
from tests.residual_network import pictures_of_classes, residual_network


@dataclasses.dataclass(frozen=True)
class Blind:
    """The interface of a model with nothing known of the inside."""

    inner: object

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def anatomy(self, module):
        raise UnknownAnatomyError("not described")


@pytest.fixture(scope="module")
def resnet():
    return residual_network()


def parts_in(model):
    pairs = pictures_of_classes(model, 2)
    return parts_of(model, *pairs.batch(torch.tensor([0]), "cpu", torch.float32))


def test_stages_go_from_the_head_to_the_first_layer(resnet):
    parts = parts_in(resnet)
    blocks = [f"layer{i}.{j}" for i in (4, 3, 2, 1) for j in (1, 0)]
    assert list(parts.image) == ["fc", *blocks, "bn1", "conv1"]
    assert parts.head == ("fc",)
    assert parts.blocks == (*blocks, "bn1", "conv1")
    assert parts.text == {}
    assert parts.apart == ()
    placed = [name for names in parts.image.values() for name in names]
    assert sorted(placed) == sorted(weights_of(resnet.module))
    assert "layer4.0.downsample.1.running_var" in parts.image["layer4.0"]


def test_two_towers_are_told_apart_by_what_they_are_used_for(joint_clip, inputs):
    known = audited(joint_clip)
    blind = dataclasses.replace(known, interface=Blind(known.interface))
    parts = parts_of(blind, inputs[0], inputs[1])
    image = {name for names in parts.image.values() for name in names}
    text = {name for names in parts.text.values() for name in names}
    assert image == {n for n, _ in joint_clip.named_parameters() if n.startswith("visual.")}
    assert image | text == {n for n, _ in joint_clip.named_parameters()} - {"logit_scale"}
    assert parts.apart == ("logit_scale",)
    assert parts.head == ()
    assert list(parts.image)[-1] == "visual.conv1"


def test_a_model_that_hands_out_no_graph_is_staged_as_it_is_registered(resnet):
    class Silent(ClassHeadInterface):
        def features(self, module, images):
            with torch.no_grad():
                return module(images)

        def target_features(self, module, targets):
            return nn.functional.one_hot(targets, 4).float()

    model = dataclasses.replace(resnet, interface=Silent())
    parts = parts_of(model, torch.rand(1, 3, 64, 64), torch.tensor([1]))
    assert next(iter(parts.image)) == "fc"
    assert list(parts.image)[-1] == "conv1"
    placed = [name for names in parts.image.values() for name in names]
    assert sorted(placed) == sorted(weights_of(model.module))


def test_stages_are_as_deep_as_gives_few_of_them():
    use = {f"encoder.layer.{i}.{part}.weight": i for i in range(12) for part in "ab"}
    assert list(staged(use))[:2] == ["encoder.layer.11.a", "encoder.layer.11.b"]
    more = {f"encoder.layer.{i}.{part}.weight": i for i in range(12) for part in "abc"}
    assert list(staged(more)) == [f"encoder.layer.{i}" for i in reversed(range(12))]


def test_the_cascade_reaches_every_parameter_and_statistic(resnet):
    parts = parts_in(resnet)
    *_, last = cascade(resnet.module, parts.image, 0)
    assert last.share_reached == 1
    assert share_reached(resnet.module, last.model, parts.apart) == 1
    for norm in last.model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert (norm.running_var > 0).all()
    with torch.no_grad():
        assert torch.isfinite(last.model(torch.rand(2, 3, 64, 64))).all()


def test_statistics_left_behind_are_counted(resnet):
    parts = parts_in(resnet)
    *_, last = cascade(resnet.module, parts.image, 0)
    old = {n: b for n, b in weights_of(resnet.module).items() if "running_mean" in n}
    forgotten = copy_with(last.model, old)
    total = sum(w.numel() for w in weights_of(resnet.module).values())
    missing = sum(b.numel() for b in old.values())
    assert share_reached(resnet.module, forgotten) == pytest.approx(1 - missing / total)


def test_variances_keep_their_moments_and_their_sign():
    variances = torch.rand(4000, generator=torch.Generator().manual_seed(0)) ** 4
    drawn = redrawn(variances, generator_for(0))
    assert (drawn > 0).all()
    assert float(drawn.mean()) == pytest.approx(float(variances.mean()), rel=0.1)
    assert float(drawn.std()) == pytest.approx(float(variances.std()), rel=0.3)
    assert (redrawn(torch.ones(64), generator_for(0)) > 0).all()
    assert (redrawn(nn.Parameter(variances), generator_for(0)) < 0).any()


@pytest.mark.parametrize(
    ("family", "strength"), [("weight-noise", 0.3), ("random-blocks", 4.0), ("interpolation", 0.5)]
)
def test_rungs_leave_the_class_head_and_positive_variances(resnet, family, strength):
    model, parts = resnet.module, parts_in(resnet)
    there = apply_rung(model, parts, Rung(family, strength, 0))
    changed = {n for n, w in weights_of(model).items() if not torch.equal(w, weights_of(there)[n])}
    assert changed
    assert not [name for name in changed if name.startswith("fc.")]
    assert all((b > 0).all() for n, b in there.named_buffers() if "running_var" in n)
    if family == "random-blocks":
        assert {name[:8] for name in changed} == {f"layer{i}.{j}" for i in (3, 4) for j in (0, 1)}
    with torch.no_grad():
        assert torch.isfinite(there(torch.rand(2, 3, 64, 64))).all()


def test_heads_that_are_not_known_are_not_removed(resnet):
    with pytest.raises(UnknownAnatomyError, match="'removed-heads'"):
        apply_rung(resnet.module, parts_in(resnet), Rung("removed-heads", 0.5, 0))


def test_no_copy_reaches_the_statistics_of_the_original(resnet):
    before = resnet.module.bn1.running_mean.clone()
    copy = copy_with(resnet.module, {"bn1.running_mean": torch.zeros(64)})
    assert not copy.bn1.running_mean.any()
    assert torch.equal(resnet.module.bn1.running_mean, before)
    assert isinstance(resnet, ModelUnderAudit)
