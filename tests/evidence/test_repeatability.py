import dataclasses

import pytest
import torch

from audit.evidence.reference import gather_reference
from audit.explainers.contract import Explanation
from audit.models.anatomy import anatomy_of
from audit.result.finding import Verdict
from principles.unmodified_model.p109_repeatable import CHECK
from tests.gathered import gathered


def gradient(model, images, tokens):
    x = images.clone().requires_grad_()
    (g,) = torch.autograd.grad(anatomy_of(model).scores(x, tokens).sum(), x)
    return g.abs().sum(1)


def over_the_batch(model, images, tokens):
    maps = gradient(model, images, tokens)
    return maps / maps.max()


def of_the_first_text(model, images, tokens):
    return gradient(model, images, tokens[:1].expand_as(tokens))


def by_place_in_the_batch(model, images, tokens):
    maps = gradient(model, images, tokens)
    return maps * (1 + 0.01 * torch.arange(len(maps)))[:, None, None]


def of_an_identical_picture(model, images, tokens):
    """Keyed by the picture alone: two texts of one picture get one map."""
    first = [int((images == row).flatten(1).all(1).nonzero()[0]) for row in images]
    return gradient(model, images, tokens)[first]


def noisy(model, images, tokens):
    return gradient(model, images + 0.01 * torch.randn(images.shape), tokens)


def noisy_with_a_seed(model, images, tokens):
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(images.shape, generator=generator)
    return gradient(model, images + noise, tokens)


def noisy_and_over_the_batch(model, images, tokens):
    return over_the_batch(model, images + 0.001 * torch.randn(images.shape), tokens)


class Counting:
    """Another map at every call, by a state of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model, images, tokens):
        self.calls += 1
        return gradient(model, images, tokens) + self.calls


def judged(context, no_evidence):
    found = gathered(context, "repeatability").repeatability
    evidence = dataclasses.replace(
        no_evidence(context), reference=gather_reference(context), repeatability=found
    )
    return found, CHECK.finding(evidence)


@pytest.mark.parametrize(
    "name", ["gradient", "grad-attention", "occlusion", "random", "grad-eclip"]
)
def test_built_in_explainers_are_repeatable(context_for, no_evidence, name):
    found, finding = judged(context_for(name), no_evidence)
    assert found.relative_l2.shape == (7, 4)
    assert finding.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "explain",
    [over_the_batch, of_the_first_text, by_place_in_the_batch, of_an_identical_picture],
)
def test_maps_that_depend_on_their_company_are_caught(context_for, no_evidence, explain):
    found, finding = judged(context_for(explain), no_evidence)
    assert (found.repeats[:2] == 0).all()
    assert finding.verdict is Verdict.VIOLATION
    assert "batch" in finding.summary
    assert finding.witness.pair in finding.samples


def test_undeclared_noise_is_caught(context_for, no_evidence):
    for explain in (noisy, Counting()):
        _, finding = judged(context_for(explain), no_evidence)
        assert finding.verdict is Verdict.VIOLATION
        assert "run to run" in finding.summary


@pytest.mark.parametrize("explain", [noisy, noisy_with_a_seed])
def test_declared_noise_is_fine(context_for, no_evidence, explain):
    found, finding = judged(context_for(explain, stochastic=True), no_evidence)
    assert (found.repeats[-1] > 0).all()
    assert finding.verdict is Verdict.PASS


def test_a_seed_for_a_whole_batch_must_be_declared(context_for, no_evidence):
    found, finding = judged(context_for(noisy_with_a_seed), no_evidence)
    assert (found.repeats[:-1] == 0).all()
    assert finding.verdict is Verdict.VIOLATION
    assert "place in the batch" in finding.summary


def test_an_explainer_of_the_text_is_judged_by_its_tokens(context_for, no_evidence):
    def of_tokens(scale):
        def explain(model, images, tokens):
            found = model.token_embedding(tokens).norm(dim=-1)
            maps = torch.zeros(len(images), 4, 4)
            return Explanation(maps, token_maps=found * scale(found))

        return explain

    steady, over_batch = of_tokens(lambda found: 1), of_tokens(lambda found: 1 / found.max())
    found, finding = judged(context_for(steady), no_evidence)
    assert found.maps.shape == (4, 1, 7)
    assert finding.verdict is Verdict.PASS
    assert judged(context_for(over_batch), no_evidence)[1].verdict is Verdict.VIOLATION


def test_declared_noise_does_not_excuse_the_batch(context_for, no_evidence):
    context = context_for(noisy_and_over_the_batch, stochastic=True)
    assert judged(context, no_evidence)[1].verdict is Verdict.VIOLATION


def test_a_single_pair_is_enough(context_for, no_evidence, pairs):
    one = pairs.select([3])
    assert judged(context_for(gradient, data=one), no_evidence)[1].verdict is Verdict.PASS
    finding = judged(context_for(of_an_identical_picture, data=one), no_evidence)[1]
    assert finding.verdict is Verdict.VIOLATION
