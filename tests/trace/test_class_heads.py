"""Explainers of a class head: own scores, copies, lines."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval

from audit.result.finding import Verdict
from tests.reference_explainers.member import Member
from tests.small_heads import small_head
from tests.trace.test_any_model import findings_of


def judged(explain, stage=None):
    """Findings by check, and the checks that are violated."""
    found = findings_of(Member(explain), stage or small_head())
    return found, {c for c, f in found.items() if f.verdict is Verdict.VIOLATION}


def logit(model, images, targets):
    return model(images)[torch.arange(len(images)), targets]


def probability(model, images, targets):
    return model(images).softmax(-1)[torch.arange(len(images)), targets]


def log_probability(model, images, targets):
    return model(images).log_softmax(-1)[torch.arange(len(images)), targets]


def log_of_the_probability(model, images, targets):
    return probability(model, images, targets).log()


def margin(model, images, targets):
    logits = model(images)
    others = logits.masked_fill(nn.functional.one_hot(targets, logits.shape[-1]).bool(), -torch.inf)
    return logits[torch.arange(len(images)), targets] - others.amax(-1)


def of(score):
    """The gradient of a score by the pixels."""

    def explain(model, images, targets):
        pixels = images.clone().requires_grad_()
        return torch.autograd.grad(score(model, pixels, targets).sum(), pixels)[0].abs().sum(1)

    return explain


gradient = of(logit)

# -- scores ----------------------------------------------------------------------------------------

SCORES = [logit, probability, log_probability, log_of_the_probability, margin]


@pytest.mark.parametrize("own", [probability, log_probability, margin], ids=lambda f: f.__name__)
@pytest.mark.parametrize("explained", SCORES, ids=lambda f: f.__name__)
def test_functions_of_what_the_model_gives_are_its_score(own, explained):
    found, violated = judged(of(explained), small_head(own))
    assert not violated, {c: found[c].summary for c in violated}
    assert found["P104"].verdict is found["P110"].verdict is Verdict.PASS


@pytest.mark.parametrize("explained", SCORES[:-1], ids=lambda f: f.__name__)
def test_another_class_is_told_by_whatever_the_model_gives(explained):
    _, violated = judged(of(lambda m, x, t: explained(m, x, t + 1)), small_head(probability))
    assert violated == {"P104"}


# -- copies of another make ------------------------------------------------------------------------


def fused_by_hand(model, running=1.0):
    """A copy whose norms are in its convolutions, with statistics that may be others."""
    other = copy.deepcopy(model)
    for holder, conv, norm in (
        (other, "conv", "bn"),
        *((b, f"conv{n}", f"bn{n}") for b in (other.first, other.second) for n in (1, 2)),
    ):
        own = copy.deepcopy(getattr(holder, norm))
        own.running_var.mul_(running)
        setattr(holder, conv, fuse_conv_bn_eval(getattr(holder, conv), own))
        setattr(holder, norm, nn.Identity())
    return other


def _of_each(model, images, targets):
    def one(image, target):
        return model(image[None])[0].gather(0, target[None])[0]

    return vmap(grad(one))(images, targets).abs().sum(1)


def _of_lent_weights(model, images, targets):
    lent = {name: p.detach().clone() for name, p in model.named_parameters()}

    def called(_model, pixels, targets):
        return functional_call(model, lent, (pixels,))[torch.arange(len(pixels)), targets]

    return of(called)(model, images, targets)


HONEST = {
    "fused by torch.fx": lambda m, x, t: gradient(fuse(m), x, t),
    "fused by hand": lambda m, x, t: gradient(fused_by_hand(m), x, t),
    "vmap of grad": _of_each,
    "functional call": _of_lent_weights,
}


@pytest.mark.parametrize("name", HONEST)
def test_another_make_of_the_same_function_is_the_model(name):
    found, violated = judged(HONEST[name])
    assert not violated, {c: found[c].summary for c in violated}
    assert {found[c].verdict for c in ("P103", "P104", "P105", "P110")} == {Verdict.PASS}


def test_norms_fused_with_other_statistics_are_named():
    found, violated = judged(lambda m, x, t: gradient(fused_by_hand(m, 1.3), x, t))
    assert violated == {"P101", "P104", "P105"}
    assert "run in a copy with other tensors (conv.weight by up to" in found["P101"].summary


def test_a_copy_in_training_mode_is_named():
    def explain(model, images, targets):
        with torch.random.fork_rng(devices=[]):
            return gradient(copy.deepcopy(model).train(), images, targets)

    found, violated = judged(explain)
    assert {"P102", "P104", "P105"} <= violated
    assert "bn: BatchNorm2d in training mode, in a copy" in found["P102"].summary
    assert any("drop: Dropout in training mode" in line for line in found["P102"].detail)
    assert "BatchNorm2d in training mode" in found["P105"].summary


def test_a_copy_in_training_mode_that_gives_the_same_is_no_fault():
    def explain(model, images, targets):
        other = copy.deepcopy(model)
        other.head.train()
        return gradient(other, images, targets)

    assert not judged(explain)[1]


# -- lines -----------------------------------------------------------------------------------------


def _line_of(finding):
    return finding.locations[0].line


def halve(_module, _args, out):
    return out * 0.5


def skip(_module, args, _out):
    return args[0]


def blurred(_module, args):
    return (nn.functional.avg_pool2d(args[0], 3, 1, 1),)


@pytest.mark.parametrize("hook", [halve, skip], ids=lambda hook: hook.__name__)
def test_the_line_is_that_of_the_hook_that_alters(hook):
    def explain(model, images, targets):
        handles = [
            model.first.bn1.register_forward_hook(hook),
            model.bn.register_forward_hook(lambda _m, _a, out: out.mean() and None),
            model.first.register_forward_hook(lambda *_: None),
        ]
        try:
            return gradient(model, images, targets)
        finally:
            for handle in handles:
                handle.remove()

    found, violated = judged(explain)
    assert violated == {"P104", "P105"}
    assert _line_of(found["P105"]) == hook.__code__.co_firstlineno


def test_the_line_is_that_of_the_hook_that_alters_the_picture():
    def explain(model, images, targets):
        handle = model.register_forward_pre_hook(blurred)
        try:
            return gradient(model, images, targets)
        finally:
            handle.remove()

    found, violated = judged(explain)
    assert "P103" in violated
    assert _line_of(found["P103"]) == blurred.__code__.co_firstlineno
