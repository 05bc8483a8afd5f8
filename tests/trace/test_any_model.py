"""Models of other libraries, with and without a known inside, are traced as CLIPs are."""

import copy
from pathlib import Path

import pytest
import torch

from audit.explainers.contract import Explainer
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import chain_tower
from audit.result.finding import Verdict
from audit.trace.tracing import TracedPair, trace_pair
from tests.any_model import BUILD, AnyStage, any_stage
from tests.reference_explainers.any_model import faulty_members, honest_members
from tests.reference_explainers.member import Member
from tests.trace.judged import judged

HONEST = [(name, m) for name in BUILD for m in honest_members(any_stage(name))]
FAULTY = [(name, m) for name in BUILD for m in faulty_members(any_stage(name))]


def _name(value):
    return getattr(value, "name", value).replace(" ", "-")


def findings_of(member, stage):
    explainer = Explainer(member.name, member.explain)
    traces = tuple(
        trace_pair(explainer, copy.deepcopy(stage.model), stage.structure, pair, stage.rounding)[0]
        for pair in stage.pairs
    )
    return judged(member.name, traces, stage.tolerance)


@pytest.mark.parametrize(("name", "member"), HONEST, ids=_name)
def test_honest_explainer_is_acquitted(name, member):
    found = findings_of(member, any_stage(name))
    doubted = {c: f.summary for c, f in found.items() if f.verdict is Verdict.VIOLATION}
    doubted |= {c: f.summary for c, f in found.items() if f.verdict is Verdict.INCONCLUSIVE}
    assert not doubted
    assert found["P103"].verdict is found["P104"].verdict is Verdict.PASS


@pytest.mark.parametrize(("name", "member"), FAULTY, ids=_name)
def test_planted_fault_is_found(name, member):
    found = findings_of(member, any_stage(name))
    violated = frozenset(c for c, f in found.items() if f.verdict is Verdict.VIOLATION)
    assert member.agrees(violated), {c: found[c].summary for c in violated}


def test_the_readme_says_how_many_there_are():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    said = " ".join(readme.split())
    assert f"{len(HONEST)} honest explainers and {len(FAULTY)} with a planted fault" in said


@pytest.mark.parametrize("name", BUILD)
@torch.no_grad()
def test_what_follows_a_step_is_what_the_model_makes_of_it(name):
    stage = any_stage(name)
    tower, pair = stage.structure.image, stage.pairs[0]
    images = torch.cat([pair.image, pair.image.flip(-1)])
    whole = tower.features(images)
    for start in range(len(tower.blocks)):
        x = tower.run(tower.embed(images), 0, start, images)
        x = tower.run(x, start, len(tower.blocks), images)
        torch.testing.assert_close(tower.readout(x, images), whole, rtol=1e-5, atol=1e-6)


class ParametersAlone(torch.nn.Module):
    """A network of its own parameters, with no module within."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Parameter(torch.randn(3 * 64, 16) / 8)
        self.last = torch.nn.Parameter(torch.randn(16, 10))

    def forward(self, images):
        return (images.flatten(1) @ self.first).relu() @ self.last


def _gradient(model, images, targets):
    pixels = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(pixels)[0, targets].sum(), pixels)
    return slope.abs().sum(1)


@pytest.mark.parametrize(
    ("explain", "violated"),
    [
        (_gradient, set()),
        (lambda m, x, t: _gradient(m, x, t + 1), {"P104"}),
        (lambda m, x, t: _gradient(m, x.roll(3, -1), t), {"P103"}),
    ],
    ids=["honest", "another-target", "another-picture"],
)
def test_a_model_without_any_step_is_judged_as_a_whole(explain, violated):
    torch.manual_seed(0)
    model, image = ParametersAlone().eval(), torch.rand(1, 3, 8, 8)
    pristine = pristine_copy(model)
    tower = chain_tower("image", pristine, lambda m, x: m(x), image)
    assert tower.blocks == ()
    with torch.no_grad():
        own = float(pristine(image)[0, 3])
    pair = TracedPair("pair-0", image, torch.tensor([3]), {"logit": own})
    stage = AnyStage(model, Structure(pristine, tower, None), (pair,), 1e-5, "", "")
    found = findings_of(Member(explain), stage)
    assert {c for c, f in found.items() if f.verdict is Verdict.VIOLATION} == violated
