"""Maps of a few pairs of each of many classes, some of them in other words."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.config.settings import Settings
from audit.data.bundled_scenes import bundled_pairs
from audit.data.scenes import CLASSES, OTHER_NAMES, TEMPLATES
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence.chosen_pairs import gather_performance
from audit.evidence.class_pairs import gather_class_pairs
from audit.evidence.context import ManyPairs
from audit.evidence.joining import joined
from audit.evidence.kinds import Evidence, Performance
from audit.evidence.reference import gather_reference
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model

MANY = 400


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def context(model):
    pairs = bundled_pairs(model, MANY)
    settings = Settings(explainer="raw-attention", samples=32)
    found = build_context(settings, model, load_explainer("raw-attention"), silent)
    sizes = dataclasses.replace(found.sizes, classes_per_pair=1.0)
    return dataclasses.replace(found, sizes=sizes, many=ManyPairs(MANY, lambda: pairs))


@pytest.fixture(scope="module")
def performance(context):
    return gather_performance(context, gather_reference(context))


def test_other_words_share_no_token_with_the_words_of_training_that_they_stand_for(model):
    usual = {int(i) for i in model.encode([TEMPLATES[0].format(n) for n in CLASSES]).unique()}
    for names, same in zip(OTHER_NAMES, (0, 1, None), strict=True):
        assert len(names) == len(CLASSES)
        for name, plain in zip(names, CLASSES, strict=True):
            kept = [a == b for a, b in zip(name.split()[:2], plain.split()[:2], strict=True)]
            assert kept == [same == 1, same == 0]
            new = model.encode([name.split()[i] for i in (0, 1) if not kept[i]])
            ends = model.encode([""]).unique()
            assert not {int(i) for i in new.unique()} & (usual - set(ends.tolist()))


def test_margins_by_other_names_are_against_the_usual_names_of_the_absent(context, performance):
    pairs = context.many_pairs()
    model = context.pristine_model
    with torch.no_grad():
        images = torch.cat([model.features(one) for one in pairs.images.split(32)])
        texts = [model.target_features(t) for t in (pairs.targets, pairs.other_names[1].targets)]
    usual, other = ((images @ text.T).double().numpy() for text in texts)
    for row in range(0, MANY, 57):
        picture, label = int(pairs.picture[row]), int(pairs.labels[row])
        best = usual[picture][~pairs.present[picture].numpy()].max()
        assert performance.margins[row] == pytest.approx(usual[picture, label] - best, abs=1e-6)
        expected = other[picture, label] - best
        assert performance.by_other_names[1, row] == pytest.approx(expected, abs=1e-6)


def test_classes_are_known_less_in_other_words(performance):
    right = (performance.by_other_names > 0).mean(1)
    assert (performance.margins > 0).mean() > 0.75
    assert right[0] < 0.5
    assert right[1] < 0.5
    assert right[2] < min(right[:2])


def test_each_class_has_so_many_pairs_that_show_it_and_the_accuracy_of_all(context, performance):
    found, pairs = gather_class_pairs(context, performance), context.many_pairs()
    names = [*CLASSES, *(name for names in OTHER_NAMES for name in names)]
    margins = np.concatenate([performance.margins[None], performance.by_other_names])
    assert len(found.classes) == len(set(found.classes)) == 32
    assert np.array_equal(np.bincount(found.index), np.full(32, 3))
    for c, name in enumerate(found.classes):
        number, label = divmod(names.index(name), len(CLASSES))
        own = pairs.labels.numpy() == label
        assert found.labels[c] == label
        assert found.pairs[c] == own.sum()
        assert found.right[c] == (margins[number, own] > 0).sum()
        for row in np.flatnonzero(found.index == c):
            pair = pairs.ids.index(found.ids[row].removesuffix(f" as {name}"))
            assert own[pair]
            assert found.cluster[row] == pairs.cluster[pair]
            assert (" as " in found.ids[row]) == (number > 0)
    accuracy = found.right / found.pairs
    assert np.ptp(accuracy) > 0.8
    assert set(found.localization) == set(context.explainers)


def test_looks_share_the_classes_and_put_together_they_are_those_of_one(context, performance):
    whole = gather_class_pairs(context, performance)
    parts = [
        gather_class_pairs(
            dataclasses.replace(context, pairs=context.pairs.select(block), part_of_chosen=part),
            performance,
        )
        for block, part in ((list(range(8)), (0.0, 0.25)), (list(range(8, 32)), (0.25, 1.0)))
    ]
    reference = gather_reference(context)
    one, two = (Evidence(context.roles, reference=reference, class_pairs=p) for p in parts)
    both = joined(one, two).class_pairs
    assert both.ids == whole.ids
    for field in ("classes", "available"):
        assert getattr(both, field) == getattr(whole, field)
    for field in ("labels", "pairs", "right", "index", "cluster", "area"):
        assert np.array_equal(getattr(both, field), getattr(whole, field))
    for name, values in whole.localization.items():
        assert both.localization[name] == pytest.approx(values, abs=1e-6)


def test_nothing_is_drawn_where_the_classes_could_not_be_compared(context, performance):
    few = dataclasses.replace(
        context, limits={"class_pairs": {"least_pairs": 3, "least_classes": 200}}
    )
    alike = Performance(np.ones(MANY), performance.labels, performance.chosen)
    lacking = dataclasses.replace(alike, margins=performance.margins, lack="Too few.")
    bare = dataclasses.replace(context, pairs=dataclasses.replace(context.pairs, masks=None))
    for given, known in (
        (few, performance),
        (context, alike),
        (context, lacking),
        (bare, performance),
    ):
        found = gather_class_pairs(given, known)
        assert not found.ids
        assert not found.localization
