"""The annotations of shapes and dtypes hold while the tests run."""

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

import principles.check  # noqa: F401 - looked for below
from audit.explainers.contract import Explainer
from audit.metrics.localization import average_precision
from audit.result.wording import number
from tests.conftest import CHECKED

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


def test_integer_may_stand_for_a_float():
    assert number(3) == "3"


def test_wrong_kind_of_value_is_an_error_in_functions_and_dataclasses():
    with pytest.raises(TypeCheckError, match="number"):
        number("three")
    with pytest.raises(TypeCheckError, match="explain"):
        Explainer("mine", 3)


BY_PYTEST = {"audit.version", "audit.pytest_plugin"}
"""What pytest imports itself, where the package is installed: its plugin, and what that needs."""


def test_nothing_was_imported_before_the_hook():
    ours = {
        name: type(module.__spec__.loader).__module__
        for name, module in sys.modules.items()
        if any(f"{name}.".startswith(f"{one}.") for one in CHECKED)
        and module is not None
        and module.__spec__ is not None
        and module.__spec__.origin is not None
    }
    assert {"audit.metrics.localization", "principles.check"} <= ours.keys()
    before = {name for name, loader in ours.items() if not loader.startswith("jaxtyping")}
    assert before <= BY_PYTEST
