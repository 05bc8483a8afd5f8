"""The annotations of shapes and dtypes hold while the tests run."""

import sys

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import principles.finding_parts
from audit.metrics.localization import average_precision
from audit.statistics.bootstrap import mean
from audit.trace.frames import Place

MAPS, MASKS = torch.rand(2, 3, 4), torch.ones(2, 3, 4)


def test_right_shape_and_dtype_pass():
    assert average_precision(MAPS, MASKS).shape == (2,)


@pytest.mark.parametrize(
    ("maps", "masks"),
    [(MAPS, MASKS[:, :2]), (MAPS[0], MASKS[0]), (MAPS[:1], MASKS)],
    ids=["another size", "no batch", "another batch"],
)
def test_wrong_shape_is_an_error(maps, masks):
    with pytest.raises(TypeCheckError, match="average_precision"):
        average_precision(maps, masks)


def test_wrong_dtype_is_an_error():
    with pytest.raises(TypeCheckError, match="average_precision"):
        average_precision(MAPS.long(), MASKS)
    with pytest.raises(TypeCheckError, match="mean"):
        mean(np.arange(3), np.ones((1, 3)))


def test_integer_may_stand_for_a_float():
    assert principles.finding_parts.number(3) == "3"


def test_wrong_kind_of_value_is_an_error_in_functions_and_dataclasses():
    with pytest.raises(TypeCheckError, match="number"):
        principles.finding_parts.number("three")
    with pytest.raises(TypeCheckError, match="line"):
        Place("file.py", "three")


def test_nothing_was_imported_before_the_hook():
    ours = {
        name: type(module.__spec__.loader).__module__
        for name, module in sys.modules.items()
        if name.split(".")[0] in ("audit", "principles")
        and module is not None
        and module.__spec__ is not None
        and module.__spec__.origin is not None
    }
    assert "audit.metrics.localization" in ours
    assert not [name for name, loader in ours.items() if not loader.startswith("jaxtyping")]
