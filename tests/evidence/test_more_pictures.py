"""More pictures than the audit has: for what is executed, and to choose pairs by their margin."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence import chosen_pairs
from audit.evidence.context import ManyPairs
from audit.evidence.executed import more_pairs
from audit.evidence.reference import gather_reference
from tests.gathered import gathered


@pytest.fixture
def few(context_for, pairs):
    """An audit of two pictures out of six."""
    context = context_for("gradient")
    sizes = dataclasses.replace(context.sizes, executed_pictures=5)
    many = ManyPairs(len(pairs), lambda: pairs)
    return dataclasses.replace(context, pairs=pairs.select([2, 3, 4]), sizes=sizes, many=many)


def test_further_pictures_are_none_of_the_audit(few, pairs):
    more = more_pairs(few)
    assert len(more.present) == 5 - 2
    assert not set(more.ids) & {"pair-2", "pair-3", "pair-4", "pair-5"}
    first = pairs.images[pairs.picture[pairs.ids.index(more.ids[0])]]
    assert torch.equal(more.images[more.picture[0]], first)


def test_none_are_added_where_there_are_enough_or_looks_bring_them(few):
    enough = dataclasses.replace(few.sizes, executed_pictures=2)
    assert more_pairs(dataclasses.replace(few, sizes=enough)) is None
    assert more_pairs(dataclasses.replace(few, part_of_chosen=(0.0, 0.5))) is None
    assert more_pairs(dataclasses.replace(few, many=None)) is None


def test_what_is_executed_answers_them_after_those_of_the_audit(context_for, pairs):
    """It explains a score of shifted features, which no trace takes for the model's."""
    context = context_for(_of_another_score)
    alone = gathered(context, "executed").executed
    sizes = dataclasses.replace(context.sizes, executed_pictures=5)
    many = ManyPairs(len(pairs), lambda: pairs)
    given = {"pairs": pairs.select([0, 1, 2, 3]), "sizes": sizes, "many": many}
    found = gathered(dataclasses.replace(context, **given), "executed").executed
    assert alone.how == found.how == "gradient"
    assert len(found.correct) == len(found.model_correct) == 5
    assert np.array_equal(found.correct[:2], alone.correct[:2])
    assert np.array_equal(found.model_correct[:2], alone.model_correct[:2])


def _of_another_score(model, images, tokens):
    images = images.detach().clone().requires_grad_()
    features = model.encode_image(images) + 0.5
    score = (features * model.encode_text(tokens)).sum(1)
    (gradient,) = torch.autograd.grad(score.sum(), images)
    return gradient.abs().sum(1)


@pytest.mark.parametrize(("per_pair", "count"), [(1, 2), (2, 4)])
def test_maps_are_drawn_for_some_chosen_pairs_per_pair(few, pairs, monkeypatch, per_pair, count):
    monkeypatch.setattr(chosen_pairs, "LEAST_OF_A_SIDE", 1)
    masked = dataclasses.replace(pairs, masks=torch.ones(len(pairs), 32, 32, dtype=torch.bool))
    context = dataclasses.replace(
        few,
        pairs=masked.select([2, 3]),
        many=ManyPairs(len(pairs), lambda: masked),
        sizes=dataclasses.replace(few.sizes, chosen_per_pair=per_pair),
    )
    found = chosen_pairs.gather_performance(context, gather_reference(context))
    right = found.margins[found.chosen] > 0
    assert len(found.chosen) == count
    assert right.sum() == count / 2
