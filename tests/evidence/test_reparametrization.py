import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence import reparametrization
from audit.evidence.kinds import Reference
from audit.evidence.reference import gather_reference
from audit.models.anatomy import anatomy_of
from audit.result.finding import Verdict
from principles.unmodified_model.p106_invariant_to_reparametrization import CHECK
from tests.gathered import gathered

BLOCK_EDITS = 9


def key_lengths(block):
    """Length of each patch's key in one block: a shift of the key bias moves it."""

    def explain(model, images, tokens):
        tower = anatomy_of(model).image
        with torch.no_grad():
            x = tower.run(tower.embed(images), 0, block)
            keys = tower.blocks[block].qkv(tower.blocks[block].normalize(x))[1]
        return keys[:, 1:].norm(dim=-1).reshape(len(images), *tower.grid)

    return explain


@pytest.fixture
def few_edits(monkeypatch):
    """The edits of the image tower's keys, heads and neurons only."""
    names = ("key-bias", "head-permutation", "neuron-permutation")
    every = reparametrization.default_edits
    monkeypatch.setattr(
        reparametrization,
        "default_edits",
        lambda a, seed: tuple(e for e in every(a, seed) if e.tower == "image" and e.name in names),
    )


def judged(context, found, no_evidence):
    reference: Reference = gather_reference(context)
    evidence = dataclasses.replace(
        no_evidence(context), reference=reference, reparametrization=found
    )
    return CHECK.finding(evidence)


def moved(found):
    return {(e.edit, e.place) for e in found.entries if (e.relative_l2 > 1e-3).mean() >= 0.2}


@pytest.mark.parametrize("name", ["gradient", "attention-logit-gradient", "occlusion"])
def test_honest_maps_stay_under_every_edit(context_for, no_evidence, name):
    context = context_for(name)
    found = gathered(context, "reparametrization").reparametrization
    assert len(found.entries) == 2 * BLOCK_EDITS + 3
    assert all(e.score_change <= found.tolerance for e in found.entries)
    assert moved(found) == set()
    assert judged(context, found, no_evidence).verdict is Verdict.PASS


def test_a_map_of_keys_moves_and_its_block_is_named(context_for, no_evidence):
    context = context_for(key_lengths(0))
    found = gathered(context, "reparametrization").reparametrization
    names = {edit for edit, _ in moved(found)}
    assert {"key-bias", "query-key-mixing"} <= names
    assert names.isdisjoint({"value-bias", "query-key-rotation", "neuron-permutation"})
    places = [e.place for e in found.entries if e.edit == "key-bias" and e.block is not None]
    assert places == ["image tower, block 1", "image tower, block 0"]  # the last first
    assert ("key-bias", "image tower, block 0") in moved(found)
    assert ("key-bias", "image tower, block 1") not in moved(found)
    finding = judged(context, found, no_evidence)
    assert finding.verdict is Verdict.VIOLATION
    assert "block 0 alone" in finding.summary


def test_single_blocks_are_looked_at_by_the_limits_of_the_check(context_for, few_edits):
    context = context_for("raw-attention")
    for change, blocks in ((0.0, True), (1e9, False)):
        limits = {"reparametrization": {"relative_change": change, "noise_factor": 0.0}}
        limited = dataclasses.replace(context, limits=limits)
        found = gathered(limited, "reparametrization").reparametrization
        assert any(e.block is not None for e in found.entries) is blocks


def test_the_positive_control_of_attention_moves_only_under_a_value_bias(context_for):
    found = gathered(context_for("grad-attention"), "reparametrization").reparametrization
    assert {edit for edit, _ in moved(found)} == {"value-bias"}


def test_noise_that_the_explainer_draws_globally_is_not_a_move(context_for, no_evidence, few_edits):
    def stochastic(model, images, tokens):
        noisy = images + 0.1 * torch.randn(images.shape)
        noisy = noisy.requires_grad_()
        score = anatomy_of(model).scores(noisy, tokens).sum()
        return torch.autograd.grad(score, noisy)[0].abs().sum(1)

    context = context_for(stochastic, stochastic=True)
    found = gathered(context, "reparametrization").reparametrization
    assert judged(context, found, no_evidence).verdict is Verdict.PASS


def test_own_randomness_is_too_much_noise_to_judge(context_for, no_evidence, few_edits):
    rng = torch.Generator().manual_seed(0)
    context = context_for(lambda m, i, t: torch.rand(len(i), 4, 4, generator=rng))
    found = gathered(context, "reparametrization").reparametrization
    assert (found.noise > 0.1).all()
    assert judged(context, found, no_evidence).verdict is Verdict.INCONCLUSIVE


def test_an_edit_that_is_not_proven_is_an_error(context_for, no_evidence, monkeypatch, few_edits):
    real = reparametrization.apply_edit

    def broken(model, edit):
        edited = real(model, edit)
        if edit.name == "head-permutation":
            with torch.no_grad():
                edited.visual.proj = torch.nn.Parameter(edited.visual.proj.flip(0))
        return edited

    monkeypatch.setattr(reparametrization, "apply_edit", broken)
    context = context_for(lambda m, i, t: i.abs().sum(1))
    found = gathered(context, "reparametrization").reparametrization
    finding = judged(context, found, no_evidence)
    assert finding.verdict is Verdict.ERROR
    assert "head-permutation" in finding.summary


def test_weights_that_the_explainer_overwrites_do_not_reach_the_next_edit(context_for, few_edits):
    def vandal(model, images, tokens):
        found = key_lengths(1)(model, images, tokens)
        for parameter in model.parameters():
            parameter.data.zero_()
        return found

    context = context_for(vandal)
    found = gathered(context, "reparametrization").reparametrization
    assert all(e.score_change <= found.tolerance for e in found.entries)
    assert ("key-bias", "image tower, all blocks") in moved(found)
    assert ("neuron-permutation", "image tower, all blocks") not in moved(found)


def test_the_same_seed_gives_the_same_evidence(context_for, few_edits):
    one, other = (
        gathered(context_for("grad-attention"), "reparametrization").reparametrization
        for _ in range(2)
    )
    assert np.array_equal(one.maps, other.maps)
    assert all(
        np.array_equal(a.maps, b.maps) for a, b in zip(one.entries, other.entries, strict=True)
    )
