"""Gradients that come to hooks, or that tensors keep, are the model's or are told apart: P110."""

import copy

import pytest
import torch
from torch import nn

from audit.result.finding import Verdict
from tests.trace.test_class_heads import judged, logit


def _full(layer, kept):
    return [layer.register_full_backward_hook(lambda _m, _i, o: kept.append(o[0]))]


def _on_the_last_operation(layer, kept):
    return [layer.register_backward_hook(lambda _m, _i, o: kept.append(o[0]))]


def _by_what_enters(layer, kept):
    return [layer.register_full_backward_hook(lambda _m, i, _o: kept.append(i[0]))]


def _on_the_tensor(layer, kept):
    def put(_module, _args, out):
        out.register_hook(kept.append)

    return [layer.register_forward_hook(put)]


def _retained(layer, kept):
    def put(_module, _args, out):
        out.retain_grad()
        kept.append(out)

    return [layer.register_forward_hook(put)]


WAYS = [_full, _on_the_last_operation, _by_what_enters, _on_the_tensor, _retained]


def cam(way, layer="second", alter=lambda _model: (), pictures=1):
    """Grad-CAM that reads gradients in a hook, after `backward`."""

    def explain(model, images, targets):
        kept, outputs, own = [], [], model.get_submodule(layer)
        handles = [own.register_forward_hook(lambda _m, _a, out: outputs.append(out.detach()))]
        handles += [*way(own, kept), *alter(model)]
        many = images.repeat(pictures, 1, 1, 1)
        logit(model, many, targets.repeat(pictures)).sum().backward()
        for handle in handles:
            handle.remove()
        slope = kept[0].grad if kept[0].requires_grad else kept[0]
        return (outputs[0] * slope.mean((2, 3), keepdim=True)).sum(1)[:1].relu()

    return explain


def _clamped_on_the_way(model):
    def positive(_module, arriving, _leaving):
        return tuple(g.clamp(min=0) for g in arriving)

    return [model.drop.register_full_backward_hook(positive)]


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize("pictures", [1, 3])
def test_gradients_in_hooks_are_the_models(way, pictures):
    found, violated = judged(cam(way, pictures=pictures))
    assert not violated
    skipped = way is _retained and pictures > 1  # by a state of another run
    assert skipped or found["P110"].verdict is Verdict.PASS, found["P110"].summary


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_a_modified_backward_is_told_by_what_comes_to_hooks(way):
    found, violated = judged(cam(way, alter=_clamped_on_the_way))
    assert violated == {"P110"}
    assert "hook on drop" in found["P110"].summary


def test_what_comes_before_something_is_written_in_place():
    found, violated = judged(cam(_on_the_tensor, layer="first.bn1"))
    assert not violated
    assert found["P110"].verdict is Verdict.PASS


def test_gradients_that_add_up():
    def explain(model, images, targets):
        pixels = images.clone().requires_grad_()
        for _ in range(3):
            logit(model, pixels, targets).sum().backward()
        return pixels.grad.abs().sum(1)

    found, violated = judged(explain)
    assert not violated
    assert found["P110"].verdict is Verdict.PASS


def test_a_score_of_two_passes_has_the_sum_of_their_gradients():
    def explain(model, images, targets):
        pixels = images.clone().requires_grad_()
        score = logit(model, pixels, targets) - logit(model, pixels, targets + 1).tanh()
        return torch.autograd.grad(score.sum(), pixels)[0].abs().sum(1)

    found, _ = judged(explain)
    assert found["P110"].verdict is Verdict.PASS, found["P110"].summary


def relevance(model, images, targets):
    """Relevance by layers: each weight's pass is run again within the gradient, and altered."""
    other = copy.deepcopy(model)
    for module in other.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    weighty = [m for m in other.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    given, positive = {}, {module: copy.deepcopy(module) for module in weighty}
    for module in positive.values():
        module.weight.data.clamp_(min=0)

    def keep(module, args):
        given[module] = args[0].detach()

    def rule(module, _arriving, leaving):
        with torch.enable_grad():
            x = given[module].requires_grad_()
            z = positive[module](x)
            share = leaving[0] / (z + 1e-2 * z.sign() + 1e-9)
            (slope,) = torch.autograd.grad(z, x, share.detach())
        return ((x * slope).detach(),)

    for module in weighty:
        module.register_forward_pre_hook(keep)
        module.register_full_backward_hook(rule)
    pixels = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(logit(other, pixels, targets).sum(), pixels)
    return found.sum(1)


def test_passes_of_a_backward_rule_are_a_modified_backward_and_no_passes_of_the_model():
    found, violated = judged(relevance)
    assert violated == {"P110"}, {c: found[c].summary for c in violated}
