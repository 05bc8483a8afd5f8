"""What gatherers need stands in their parameters; what they share is evidence, gathered once."""

import inspect
from collections import Counter
from dataclasses import fields

import pytest
import torch

from audit.evidence import cost, explained_towers
from audit.evidence.explained_towers import on_explained_tower
from audit.evidence.kinds import Evidence, OtherModels
from audit.evidence.other_models import gather_other_models
from audit.evidence.plan import GATHERERS, gather, gather_kind, plan
from audit.explainers.contract import Explanation
from tests.gathered import gathered

SHARING = ("trace", "reparametrization", "randomization", "repeatability")


def test_every_kind_has_a_field_and_comes_after_what_its_gatherer_names():
    assert set(GATHERERS) == {field.name for field in fields(Evidence)} - {"roles"}
    for place, (kind, gatherer) in enumerate(GATHERERS.items()):
        context, *named = inspect.signature(gatherer).parameters
        assert context == "context"
        assert set(named) <= set(list(GATHERERS)[:place]), kind


def test_what_a_gatherer_needs_is_gathered_before_it():
    assert plan(frozenset({"rung_faithfulness"})) == [
        *("reference", "explanations", "faithfulness", "ladder", "rung_faithfulness")
    ]
    assert plan(frozenset({"repeatability"})) == ["costs", "explained_towers", "repeatability"]


def test_what_a_gatherer_can_do_without_is_handed_over_and_not_gathered_for_it(
    context_for, monkeypatch
):
    assert "faithfulness" in inspect.signature(gather_other_models).parameters
    assert "faithfulness" not in plan(frozenset({"other_models"}))
    context, handed = context_for("gradient"), []

    def other_models(context, reference, faithfulness=None):
        handed.append(faithfulness)
        return OtherModels()

    monkeypatch.setitem(GATHERERS, "other_models", other_models)
    for kinds in (("other_models",), ("faithfulness", "other_models")):
        evidence = gathered(context, *kinds)
        assert handed[-1] is evidence.faithfulness
    assert [one is None for one in handed] == [True, False]


def test_a_kind_whose_need_failed_is_left_out_and_the_failure_told_once(
    context_for, monkeypatch, tmp_path
):
    def costs(context):
        raise RuntimeError("no costs today")

    monkeypatch.setitem(GATHERERS, "costs", costs)
    needs = frozenset({"reference", "repeatability", "trace"})
    found = gather(context_for("gradient"), needs, tmp_path, "key", resume=False)
    assert [failure.where for failure in found.failures] == ["gathering costs"]
    assert found.evidence.reference is not None
    assert found.evidence.repeatability is found.evidence.trace is None


def test_cost_and_explained_tower_are_measured_once_for_all_gatherers(context_for, monkeypatch):
    counts = Counter()

    def counted(measure):
        def counting(context, explainer):
            counts[measure.__name__, explainer.name] += 1
            return measure(context, explainer)

        return counting

    monkeypatch.setattr(cost, "cost", counted(cost.cost))
    monkeypatch.setattr(explained_towers, "text_tokens", counted(explained_towers.text_tokens))
    gathered(context_for("gradient"), *SHARING)
    assert {measure for measure, _ in counts} == {"cost", "text_tokens"}
    assert set(counts.values()) == {1}


def a_map_of_the_text(model, images, tokens):
    token_maps = torch.arange(tokens.shape[1]).float().expand(len(tokens), -1).clone()
    return Explanation(torch.zeros(len(images), 4, 4), None, token_maps)


@pytest.mark.parametrize(("explain", "tokens"), [("gradient", None), (a_map_of_the_text, 7)])
def test_an_explainer_of_the_text_alone_is_known_by_its_maps(context_for, explain, tokens):
    context = context_for(explain)
    found = gather_kind("explained_towers", context, Evidence(roles=context.roles))
    assert found.tokens[context.roles.audited] == tokens
    explainer = on_explained_tower(context.audited, tokens)
    assert (explainer is context.audited) == (tokens is None)
    images, texts = context.pairs.batch(torch.arange(2), context.model.device, torch.float32)
    maps = explainer.explain(context.model.module, images, texts)
    maps = getattr(maps, "maps", maps)
    assert maps.shape[0] == 2
    assert tokens is None or maps.shape[1:] == (1, tokens)


def test_a_map_of_the_text_that_goes_missing_is_named(context_for):
    context = context_for(a_map_of_the_text)
    images, texts = context.pairs.batch(torch.arange(2), context.model.device, torch.float32)
    forgetful = on_explained_tower(context.explainers["edges"], 3)
    with pytest.raises(ValueError, match="expected a map of the tokens from edges"):
        forgetful.explain(context.model.module, images, texts)


def test_maps_on_the_rungs_are_evidence_of_the_ladder(context_for, tmp_path, monkeypatch):
    """What faithfulness on the rungs is measured with is what the ladder drew, also from disk."""
    context, needs = context_for("gradient"), frozenset({"rung_faithfulness"})
    at_once = gather(context, needs, tmp_path / "at-once", "key", resume=False).evidence
    gather(context, frozenset({"faithfulness", "ladder"}), tmp_path / "later", "key", resume=False)
    later = gather(context, needs, tmp_path / "later", "key", resume=True).evidence
    probed = at_once.faithfulness.probed
    for name, maps in at_once.ladder.probed_maps.items():
        assert maps.shape[:2] == (len(at_once.ladder.rungs), len(probed))
        assert (maps[0] == at_once.explanations.maps[name][probed].astype("float32")).all()
    for name, gaps in at_once.rung_faithfulness.gaps.items():
        assert (gaps == later.rung_faithfulness.gaps[name]).all()
