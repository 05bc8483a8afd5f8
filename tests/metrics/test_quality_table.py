"""The table of measures: what a name asks for, who may decide, and that every row is measured."""

import subprocess
import sys

import pytest
import torch

from audit.metrics.mask_measures import MASK_MEASURES
from audit.metrics.probing import FAMILIES
from audit.metrics.quality_choice import (
    QualityError,
    chosen_measures,
    expect_grids,
    families_of,
    usual_measures,
)
from audit.metrics.quality_table import MEASURES, NEEDS, has_chance_zero

DECIDERS = {one.name for one in MEASURES if one.may_decide}


def names(rows):
    return [one.name for one in rows]


def test_every_row_says_all_and_stands_for_one_thing():
    assert len({one.name for one in MEASURES}) == len({one.title for one in MEASURES})
    assert len({one.name for one in MEASURES}) == len(MEASURES)
    for one in MEASURES:
        assert all((one.title, one.span, one.source, one.differs)), one.name
        assert one.needs in NEEDS
        assert bool(one.family) == (one.name not in MASK_MEASURES) == bool(one.cost)


def test_a_family_is_named_like_no_measure_of_another_one():
    for one in MEASURES:
        assert one.name not in FAMILIES or one.family == one.name or not one.family
    assert {one.family for one in MEASURES if one.family} == set(FAMILIES)


def test_only_measures_against_masks_decide_and_each_of_them_is_there():
    assert set(MASK_MEASURES) == DECIDERS
    assert {one.name for one in MEASURES if one.needs in {"masks", "grids"}} == DECIDERS


def test_the_first_decides_and_each_comes_once():
    found = chosen_measures(("energy", "road", "average-precision", "road-morf", "energy"))
    assert names(found) == ["energy", "road-morf", "road-lerf", "average-precision"]
    assert families_of(found) == ("road",)
    assert chosen_measures(()) == ()


def test_the_usual_ones_are_those_of_before():
    assert names(usual_measures(grids=False)) == ["average-precision", "energy", "pointing"]
    assert names(usual_measures(grids=True))[3:] == ["grid-pointing"]
    titles = [one.title for one in usual_measures(grids=True)]
    assert titles == ["average precision", "energy gain", "pointing game", "grid pointing"]


@pytest.mark.parametrize("name", sorted({one.name for one in MEASURES} - DECIDERS))
def test_what_cannot_decide_is_refused_and_told_what_can(name):
    with pytest.raises(QualityError, match=f"found '{name}'") as told:
        chosen_measures((name, "energy"))
    assert all(decider in str(told.value) for decider in DECIDERS)
    assert f"--quality average-precision,{name}" in str(told.value)


def test_a_slip_of_the_pen_is_told_with_the_nearest_name():
    with pytest.raises(QualityError, match="did you mean 'weighted-f'"):
        chosen_measures(("weigthed-f",))


def test_grids_are_asked_for_where_a_measure_is_of_grids():
    expect_grids(chosen_measures(("grid-pointing",)), grids=True)
    with pytest.raises(QualityError, match=r"expected grids for 'grid-pointing'.*--grid 2"):
        expect_grids(chosen_measures(("energy", "grid-pointing")), grids=False)


def test_zero_is_chance_for_those_that_say_so():
    assert has_chance_zero("average precision")
    assert not has_chance_zero("mask IoU at the mean")


@pytest.mark.parametrize("name", sorted(MASK_MEASURES))
def test_a_better_map_scores_higher_by_every_measure_that_may_decide(name):
    masks = torch.zeros(3, 6, 7)
    masks[:, 1:4, 2:5] = 1
    noise = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0)) / 4
    measure = MASK_MEASURES[name]
    assert (measure(masks - 0.5 + noise / 10, masks) > measure(0.5 - masks + noise, masks)).all()


def test_the_table_is_read_without_torch():
    code = (
        "import sys, audit.metrics.quality_choice as c; c.chosen_measures(('energy',)); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
