"""Measures that ask the model for more: seeded, counted, and the same whoever went before."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence.explanations import gather_explanations
from audit.evidence.joining import joined
from audit.evidence.kinds import Evidence
from audit.evidence.map_quality import SHARED_PASSES, color_scale, gather_map_quality
from audit.evidence.plan import gather, gather_kind, plan
from audit.evidence.reference import gather_reference
from audit.evidence.tasks import Tasks
from audit.metrics.quality_choice import chosen_measures

ALL = ("energy", "removal", "subsets", "aim", "arcc", "sensitivity", "sparseness", "road")


@pytest.fixture
def asking(context_for):
    """A context that asks for measures, of an explainer that looks at picture and model."""

    def build(*names, probed=3, explain=gradient_like):
        context = context_for(explain)
        sizes = dataclasses.replace(context.sizes, probed=probed)
        return dataclasses.replace(context, quality=chosen_measures(names), sizes=sizes)

    return build


def gradient_like(model, images, targets):
    with torch.enable_grad():
        given = images.detach().requires_grad_()
        score = (model.encode_image(given) * model.encode_text(targets)).sum()
        (slope,) = torch.autograd.grad(score, given)
    return (slope * images).sum(1)


def same(one, two):
    assert one.passes == two.passes
    assert one.explanations == two.explanations
    assert one.values.keys() == two.values.keys()
    for name, table in one.values.items():
        for measure, values in table.items():
            np.testing.assert_array_equal(values, two.values[name][measure])


def test_every_explainer_has_every_measure_that_was_asked_for(asking):
    context = asking("energy", "morf", "sparseness", "max-sensitivity")
    found = gather_map_quality(context, gather_explanations(context))
    assert set(found.values) == set(context.explainers)
    for table in found.values.values():
        assert set(table) == {"MoRF, mean drop", "sparseness", "max-sensitivity"}
        assert all(values.shape == (3,) for values in table.values())
    assert found.probed.tolist() == [2, 6, 10]
    assert (found.values["center-prior"]["max-sensitivity"] == 0).all()
    assert (found.values["planted"]["max-sensitivity"] > 0).all()


def test_passes_are_those_that_the_model_makes(asking):
    context = asking(*ALL)
    explanations = gather_explanations(context)
    seen = []
    hook = context.pristine.visual.register_forward_pre_hook(
        lambda _, given: seen.append(len(given[0]))
    )
    found = gather_map_quality(context, explanations)
    hook.remove()
    backward = 3 * SHARED_PASSES["aim"] // 2
    assert sum(found.passes.values()) == sum(seen) + backward
    assert max(seen) <= context.batch_size()
    explainers = len(context.explainers)
    assert found.explanations["sensitivity"] == 10 * 3 * explainers
    assert found.explanations["arcc"] == 3 * explainers
    assert found.passes["sparseness"] == found.explanations["sparseness"] == 0


def test_the_seed_decides_and_nothing_that_was_measured_before(asking, tmp_path):
    context = asking(*ALL)
    explanations = gather_explanations(context)
    whole = gather_map_quality(context, explanations)
    kept = Tasks(tmp_path / "tasks")
    gather_map_quality(
        dataclasses.replace(asking("energy", "aim", "road"), tasks=kept), explanations
    )
    torch.rand(7)
    resumed = gather_map_quality(dataclasses.replace(context, tasks=kept), explanations)
    same(whole, resumed)
    other = gather_map_quality(dataclasses.replace(context, seed=1), explanations)
    title = "infidelity"
    assert not np.array_equal(whole.values["planted"][title], other.values["planted"][title])


def test_the_model_stays_as_it_was(asking):
    context = asking("energy", "aim", "arcc")
    before = {n: p.clone() for n, p in context.pristine.named_parameters()}
    gather_map_quality(context, gather_explanations(context))
    assert all(torch.equal(before[n], p) for n, p in context.pristine.named_parameters())
    assert all(p.grad is None for p in context.pristine.parameters())


def test_it_is_gathered_where_it_was_asked_for_alone(asking):
    assert asking("energy", "road").kinds_beside == {"map_quality"}
    assert asking("energy", "average-precision").kinds_beside == frozenset()
    assert plan(frozenset({"map_quality"})) == ["explanations", "map_quality"]


def test_two_blocks_of_pairs_are_joined(asking):
    context = asking("energy", "sparseness", "road-morf")
    halves = []
    for rows in (range(6), range(6, 12)):
        half = dataclasses.replace(context, pairs=context.pairs.select(list(rows)))
        explanations = gather_explanations(half)
        halves.append(
            Evidence(
                half.roles,
                reference=gather_reference(half),
                explanations=explanations,
                map_quality=gather_map_quality(half, explanations),
            )
        )
    both = joined(*halves).map_quality
    assert both.probed.tolist() == [1, 3, 5, 7, 9, 11]
    assert both.values["planted"]["sparseness"].shape == (6,)
    assert both.passes["road"] == sum(half.map_quality.passes["road"] for half in halves)


def test_an_explainer_that_raises_on_other_pictures_is_told(asking, tmp_path):
    known = []

    def remembers(model, images, targets):
        if not known:
            known.append(images)
        if not any(torch.equal(one, other) for one in images for other in known[0]):
            raise KeyError("no map of this picture")
        return images.mean(1)

    context = asking("energy", "max-sensitivity", explain=remembers)
    found = gather(context, frozenset({"map_quality"}), tmp_path, "key", resume=False)
    assert found.evidence.map_quality is None
    assert [f.where for f in found.failures] == ["gathering map_quality"]


def test_the_scale_of_colors_is_read_off_the_model(tiny_model):
    image = torch.zeros(3, 8, 8)
    assert color_scale(tiny_model, image) == ((0.0,) * 3, (1.0,) * 3)


def test_a_kind_of_evidence_may_be_gathered_by_its_name(asking):
    context = asking("energy", "sparseness")
    evidence = Evidence(context.roles, explanations=gather_explanations(context))
    found = gather_kind("map_quality", context, evidence)
    assert found.passes == {"sparseness": 0}
