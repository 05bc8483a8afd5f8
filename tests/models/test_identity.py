"""Two models of equal weights are different models where anything else that counts differs."""

import copy
import functools

import pytest
import torch
from torch import nn

from audit.models.identity import architecture_sha256


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4)
        self.norm = nn.LayerNorm(8)
        self.activation = torch.nn.functional.gelu
        self.scale = 0.5
        self.options = {"window": (2, 3)}


def other_heads(block):
    block.attention.num_heads = 2


def other_activation(block):
    block.activation = torch.nn.functional.relu


def other_approximation(block):
    block.activation = functools.partial(torch.nn.functional.gelu, approximate="tanh")


def other_epsilon(block):
    block.norm.eps = 1e-6


def other_scale(block):
    block.scale = 0.25


def other_option(block):
    block.options = {"window": (2, 4)}


def other_class(block):
    block.norm = nn.Identity()


@pytest.fixture
def block():
    return Block()


def test_a_copy_has_the_same_identity(block):
    assert architecture_sha256(copy.deepcopy(block)) == architecture_sha256(block)


def test_other_weights_have_the_same_architecture(block):
    assert architecture_sha256(Block()) == architecture_sha256(block)


@pytest.mark.parametrize(
    "change",
    [
        other_heads,
        other_activation,
        other_approximation,
        other_epsilon,
        other_scale,
        other_option,
        other_class,
    ],
)
def test_what_is_in_no_tensor_counts(block, change):
    before = architecture_sha256(block)
    change(block)
    assert architecture_sha256(block) != before


def test_so_does_the_configuration_of_the_input(block):
    one, other = ({"mean": (0.5, 0.5, value)} for value in (0.5, 0.4))
    assert architecture_sha256(block, one) == architecture_sha256(block, dict(one))
    assert architecture_sha256(block, one) != architecture_sha256(block, other)
    assert architecture_sha256(block, one) != architecture_sha256(block)


def test_evaluation_mode_does_not_count(block):
    assert architecture_sha256(block.eval()) == architecture_sha256(block.train())
