"""Evidence, and verdicts on it, about a ResNet whose inside nobody describes."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.engine.gathering_limits import gathering_limits
from audit.evidence import effects as effect_kinds
from audit.evidence.context import Context, Sizes
from audit.evidence.kinds import Roles
from audit.explainers.contract import Explainer
from audit.judging.judge_all import judge_all
from audit.models.pristine import pristine_copy
from principles.catalogue import all_checks
from tests.gathered import gathered
from tests.residual_network import GRID, pictures_of_classes, residual_network

SIZES = Sizes(
    probed=4, ladder_seeds=1, reparametrized=4, randomized=8, randomizations=2, affected=8,
    repeated=3,
)  # fmt: skip
TRACED = {"P101", "P102", "P103", "P104", "P105", "P110"}
INTERVENTIONS = {"P106", "P107", "P108", "P109"}


def logits(model, images, targets):
    return model(images)[torch.arange(len(images)), targets]


def gradient(model, images, targets):
    images.requires_grad_()
    (slope,) = torch.autograd.grad(logits(model, images, targets).sum(), images)
    return slope.abs().amax(1)


def last_activation(model, images, targets):
    kept = []
    handle = model.layer2.register_forward_hook(lambda _, __, out: kept.append(out))
    score = logits(model, images, targets).sum()
    handle.remove()
    return kept[0], torch.autograd.grad(score, kept[0])[0]


def grad_cam(model, images, targets):
    activation, slope = last_activation(model, images, targets)
    return (activation * slope.mean((2, 3), keepdim=True)).sum(1).detach()


def edges(model, images, targets):
    gray = images.mean(1)
    return gray.diff(dim=1)[:, :, 1:].abs() + gray.diff(dim=2)[:, 1:].abs()


def before_a_norm(model, images, targets):
    """Size of what enters a batch norm, which scales it away."""
    kept = []
    handle = model.layer2[0].bn2.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    model(images)
    handle.remove()
    return kept[0].abs().mean(1).detach()


def first_channels(model, images, targets):
    """The first channels of a hidden layer, whichever they are."""
    kept = []
    handle = model.layer2[1].bn1.register_forward_hook(lambda _, __, out: kept.append(out))
    model(images)
    handle.remove()
    return kept[0][:, :4].relu().mean(1).detach()


def of_the_batch(model, images, targets):
    """A gradient that is measured by the mean of its batch."""
    found = gradient(model, images, targets)
    return (found - found.mean(0)).abs() + found


@pytest.fixture(scope="module")
def model():
    return residual_network()


@pytest.fixture
def context_of(model):
    def build(explain):
        names = {"planted": explain, "control": grad_cam, "edges": edges}
        free = {"edges"}
        explainers = {n: Explainer(n, f, model_free=n in free) for n, f in names.items()}
        roles = Roles("planted", ("control",), ("edges",), None, True, False, False)
        own = dataclasses.replace(model, module=pristine_copy(model.module).requires_grad_())
        return Context(
            own,
            pristine_copy(model.module),
            pictures_of_classes(model),
            explainers,
            roles,
            SIZES,
            0,
            lambda *_: None,
            limits=gathering_limits({}),
        )

    return build


@pytest.fixture
def verdicts(context_of):
    def judged(explain, chosen):
        checks = [check for check in all_checks() if check.id in chosen]
        kinds = frozenset(kind for check in checks for kind in check.needs)
        evidence = gathered(context_of(explain), *(kinds - {"roles"}))
        results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
        assert not failures, failures
        return {r.id: r.finding for r in results}, evidence

    return judged


def words(findings):
    return {check: finding.verdict.value for check, finding in findings.items()}


def test_an_honest_gradient_is_acquitted(verdicts):
    found, evidence = verdicts(gradient, INTERVENTIONS)
    assert {words(found)[check] for check in ("P106", "P107", "P109")} == {"pass"}
    assert words(found)["P108"] in {"pass", "inconclusive"}
    edits = {e.edit for e in evidence.reparametrization.entries}
    assert edits == {
        "channel-permutation", "relu-scaling", "batch-norm-scaling", "batch-norm-folding",
    }  # fmt: skip
    assert all(e.place == "all layers" for e in evidence.reparametrization.entries)
    assert (evidence.randomization.reached == 1).all()
    assert evidence.randomization.stages[-1] == "conv1"
    assert evidence.effects.kinds == ("occlusion", "blurring")
    assert evidence.effects.note in found["P108"].detail
    assert (evidence.reference.image_blocks, evidence.reference.text_blocks) == (0, 0)
    assert evidence.reference.score_name == "logit"


def test_a_faithful_grad_cam_is_acquitted(verdicts):
    found, _ = verdicts(grad_cam, {"P106", "P107", "P109"})
    assert words(found) == {"P106": "pass", "P107": "pass", "P109": "pass"}


def test_an_edge_detector_survives_randomization(verdicts):
    found, _ = verdicts(edges, {"P107"})
    assert words(found) == {"P107": "violation"}


@pytest.mark.parametrize(
    ("explain", "edit", "place"),
    [
        (before_a_norm, "batch-norm-folding", "layers layer2.0.conv2 and layer2.0.bn2 alone"),
        (first_channels, "channel-permutation", "layers layer2.1.conv1 to layer2.1.conv2 alone"),
    ],
)
def test_a_map_of_the_weights_as_written_moves(verdicts, explain, edit, place):
    found, evidence = verdicts(explain, {"P106"})
    assert words(found) == {"P106": "violation"}
    assert edit in found["P106"].summary
    moved = [e for e in evidence.reparametrization.entries if e.edit == edit]
    assert f"{moved[-1].place} alone" == place
    assert (moved[-1].relative_l2 > 0.01).all()


def test_a_map_of_the_batch_is_not_repeatable(verdicts):
    found, _ = verdicts(of_the_batch, {"P109"})
    assert words(found) == {"P109": "violation"}


def test_removing_patches_is_painting_pixels(context_of):
    context = context_of(gradient)
    found = gathered(context, "effects").effects
    pair = int(found.pairs[1])
    images, targets = context.pairs.batch(torch.tensor([pair]), "cpu", torch.float32)
    painted = images.clone()
    painted[:, :, :16, 16:32] = images.mean((2, 3), keepdim=True)
    with torch.no_grad():
        drop = float(context.model.score(images, targets) - context.model.score(painted, targets))
    assert found.effects[0, 1, 0, 2] == pytest.approx(drop, abs=1e-5)  # windows do not overlap
    assert found.null_difference <= found.tolerance


def test_a_removal_that_changes_without_removing_is_an_error(verdicts, monkeypatch):
    monkeypatch.setattr(effect_kinds, "null_difference", lambda context, pictures: 1.0)
    found, _ = verdicts(gradient, {"P108"})
    assert words(found) == {"P108": "error"}


def test_principle_2_is_judged_in_full(verdicts):
    chosen = {check.id for check in all_checks()} - TRACED - INTERVENTIONS - {"P204"}
    found, evidence = verdicts(gradient, chosen)
    assert set(words(found)) == {"P201", "P202", "P203", "P205", "P206"}
    assert "error" not in words(found).values()
    assert evidence.explanations.maps["planted"].shape == (8, *GRID)
    assert np.isfinite(evidence.faithfulness.gaps["planted"]).all()
