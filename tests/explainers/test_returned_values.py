"""Odd return values: numpy is as good as torch; the rest is told what was expected and found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit.explainers.contract import Explainer, Explanation, checked_explanation, run_explainer
from audit.explainers.errors import ExplainerFaultError, ExplainerReturnError

IMAGES = torch.zeros(2, 3, 8, 8)
MAPS = torch.arange(2 * 4 * 5).reshape(2, 4, 5).float() / 8


def checked(value):
    return checked_explanation("mine", value, IMAGES)


@pytest.mark.parametrize(
    "value",
    [
        MAPS,
        MAPS.double(),
        MAPS.half(),
        MAPS.bfloat16(),
        MAPS.clone().requires_grad_(),
        MAPS.numpy(),
        MAPS.numpy().astype(np.float16),
        MAPS.numpy().astype(">f8"),
        MAPS.numpy()[:, ::-1][:, ::-1],
        Explanation(MAPS),
        SimpleNamespace(maps=MAPS.numpy()),  # whoever fills it in may use numpy
        MAPS.as_subclass(type("Own", (torch.Tensor,), {})),
    ],
)
def test_arrays_of_real_numbers_are_maps(value):
    found = checked(value).maps
    assert torch.equal(found.double().as_subclass(torch.Tensor), MAPS.double())
    assert found.dtype in {torch.float32, torch.float64}
    assert not found.requires_grad


def test_whole_numbers_are_maps():
    for value in ((MAPS * 8).long(), (MAPS * 8).to(torch.uint8), (MAPS * 8).numpy().astype("u2")):
        assert torch.equal(checked(value).maps.float(), MAPS * 8)


def test_a_map_is_the_explainers_own_no_more():
    array = MAPS.numpy().copy()
    found = checked(array).maps
    array[:] = 7
    assert torch.equal(found, MAPS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (MAPS.to(torch.complex64), "complex numbers"),
        (MAPS.numpy().astype(complex), "complex numbers"),
        (MAPS > 1, "truth values"),
        (MAPS.numpy() > 1, "truth values"),
        (MAPS.to_sparse(), "a sparse tensor"),
        (torch.nested.nested_tensor([MAPS[0], MAPS[1]], layout=torch.jagged), "a nested tensor"),
        (MAPS.to("meta"), "device 'meta'"),
        (MAPS.tolist(), "got list (torch.stack"),
        (list(MAPS), "got list (torch.stack"),
        ((MAPS, MAPS), "got tuple (torch.stack"),
        (np.array([["a"]]), "a numpy array of <U1"),
        (np.array([None]), "a numpy array of object"),
        (None, "got NoneType"),
        ("a map", "got str"),
        ((m for m in MAPS), "got generator"),
        (SimpleNamespace(maps=None), "got NoneType"),
        (MAPS[0], "expected maps of shape (2, h, w), got (4, 5)"),
        (
            MAPS[:, None],
            "got (2, 1, 4, 5); return one map per pair, without channels: maps[:, 0]",
        ),
        (MAPS[:, None].repeat(1, 3, 1, 1), "without channels: maps.sum(1), say"),
        (MAPS[:1], "got (1, 4, 5)"),
        (MAPS[:, :0], "got (2, 0, 5)"),
        (MAPS.numpy()[0], "got (4, 5)"),
        (MAPS * float("nan"), "expected finite maps, got 40 NaN or infinite"),
        (np.full((2, 4, 5), np.inf), "expected finite maps"),
        (SimpleNamespace(maps=MAPS, scores=[1.0, 2.0]), "expected .scores as a tensor"),
        (
            SimpleNamespace(maps=MAPS, scores=torch.zeros(3)),
            "expected .scores of shape (2), got (3,)",
        ),
        (
            SimpleNamespace(maps=MAPS, token_maps=torch.zeros(2)),
            "expected .token_maps of shape (2, context), got (2,)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_anything_else_is_told(value, words):
    with pytest.raises(ExplainerReturnError) as error:
        checked(value)
    assert words in str(error.value)
    assert str(error.value).startswith("explainer 'mine': expected")


def test_scores_and_token_maps_may_be_numpy():
    found = checked(
        SimpleNamespace(maps=MAPS, scores=np.ones(2), token_maps=np.zeros((2, 7), "f4"))
    )
    assert found.scores.tolist() == [1, 1]
    assert found.token_maps.shape == (2, 7)


class Bare(BaseException):
    pass


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, Bare])
def test_no_way_to_end_the_process_gets_out_of_an_explainer(kind):
    def explain(*_):
        raise kind

    with pytest.raises(ExplainerFaultError, match="but it ends the program"):
        run_explainer(Explainer("mine", explain), torch.nn.Identity(), IMAGES, torch.zeros(2, 3))
