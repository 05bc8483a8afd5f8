"""Explainers are called by position: what they call the third argument is their own affair."""

import pytest
import torch

from audit.explainers.contract import run_explainer
from audit.explainers.errors import UnknownOptionError
from audit.explainers.registry import load_explainer

SOURCE = """
import torch


def tokens_as_ever(model, images, tokens):
    return tokens[:, :1, None].float().expand(-1, 2, 2)


def tokens_and_an_option(model, images, tokens, *, scale: float = 1.0):
    return scale * tokens_as_ever(model, images, tokens)


def targets(model, images, targets):
    return tokens_as_ever(model, images, targets)


def by_position(model, images, tokens, /):
    return tokens_as_ever(model, images, tokens)


def whatever(*given):
    return tokens_as_ever(*given)


def by_keyword(model, images, *, tokens):
    return tokens_as_ever(model, images, tokens)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    "function", ["tokens_as_ever", "tokens_and_an_option", "targets", "by_position", "whatever"]
)
def test_a_function_may_call_it_as_it_likes(file, function):
    given = torch.tensor([[5, 1, 0], [7, 2, 0]])
    images = torch.zeros(2, 3, 4, 4)
    found = run_explainer(load_explainer(f"{file}:{function}"), torch.nn.Identity(), images, given)
    assert torch.equal(found.maps, given[:, :1, None].float().expand(-1, 2, 2))


def test_options_stay_beside_it(file):
    explainer = load_explainer(f"{file}:tokens_and_an_option", {"scale": "2"})
    given = torch.tensor([[5, 1]])
    found = run_explainer(explainer, torch.nn.Identity(), torch.zeros(1, 3, 4, 4), given)
    assert (found.maps == 10).all()


def test_a_keyword_is_an_option_as_before(file):
    with pytest.raises(UnknownOptionError, match="expected option 'tokens', which has no default"):
        load_explainer(f"{file}:by_keyword")
