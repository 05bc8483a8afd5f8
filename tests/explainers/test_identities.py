"""Known identities hold in double precision, and no two other built-in explainers are related."""

import itertools

import pytest
import torch

from audit.explainers.built_in import BUILT_IN
from audit.explainers.contract import run_explainer
from audit.explainers.identities import IDENTITIES, identity_of, partners_of
from audit.explainers.registry import UNMODIFIED, load_explainer
from audit.metrics.map_relation import Relation, relation_of, weakest
from tests.reduced_settings import reduced

EXACT = 1e-10


def maps_of(spec, model, pairs):
    found = run_explainer(load_explainer(spec), model, *pairs)
    tokens = found.token_maps is not None
    return tokens, (found.token_maps if tokens else found.maps.flatten(1))


@pytest.fixture(scope="module")
def subjects(build_clip, build_pairs):
    return [(build_clip(seed=seed), build_pairs(4, seed=seed)) for seed in (0, 3)]


@pytest.mark.parametrize("known", IDENTITIES, ids=lambda known: known.one)
def test_an_identity_holds_on_two_models(known, subjects):
    found = weakest(
        [
            relation_of(maps_of(known.one, *s)[1], maps_of(known.other, *s)[1], EXACT)
            for s in subjects
        ]
    )
    assert found.relation is known.relation
    assert found.telling >= 6
    assert identity_of(known.one, known.other) is known
    assert identity_of(known.other, known.one) is known


@pytest.mark.parametrize("options", ["weight=raw", "weight=none", "heads=model", "input=own-size"])
def test_an_identity_of_all_settings_holds_in_each(options, subjects):
    one, other = f"grad-eclip?{options}", f"attention-eclip?{options}"
    for subject in subjects:
        maps = [maps_of(spec, *subject)[1] for spec in (one, other)]
        assert relation_of(*maps, EXACT).relation is Relation.EQUAL
    assert identity_of(one, other) is IDENTITIES[0]
    assert partners_of(one) == [other]
    assert identity_of(one, "attention-eclip") is None


def test_no_other_built_in_explainers_are_equivalent(subjects):
    """Every two of all built-in ones, and of the settings that audits compare with."""
    sides = [side for known in IDENTITIES for side in (known.one, known.other)]
    specs = dict.fromkeys([*map(reduced, BUILT_IN), *sides, *UNMODIFIED])
    drawn = [{spec: maps_of(spec, *subject) for spec in specs} for subject in subjects]
    related = {}
    for one, other in itertools.combinations(specs, 2):
        if drawn[0][one][0] != drawn[0][other][0]:
            continue
        found = weakest([relation_of(d[one][1], d[other][1], EXACT) for d in drawn])
        if found.relation is not Relation.NONE:
            related[one, other] = found.relation
    unknown = {pair: r for pair, r in related.items() if identity_of(*pair) is None}
    assert not unknown
    assert len(related) >= len(IDENTITIES)


def test_partners():
    assert partners_of("attention-eclip?weight=raw") == ["grad-eclip?weight=raw"]
    assert partners_of("attn-lrp?attention=constant") == ["libra-grad"]
    assert partners_of("attn-lrp") == []
    assert partners_of("raw-attention") == ["rollout?start=-1"]
    assert partners_of("mine.py:f") == []


def test_a_planted_change_of_a_known_equivalent_is_no_equivalent(subjects):
    model, pairs = subjects[0]
    one = maps_of("grad-eclip", model, pairs)[1]
    other = maps_of("attention-eclip", model, pairs)[1]
    changed = other + 1e-8 * torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    assert relation_of(one, changed, EXACT).relation is Relation.NONE
