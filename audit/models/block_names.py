"""Where a class of transformer blocks keeps its parts, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class QkvNames:
    """Where queries, keys and values have their weights, as dotted names within the block.

    Attributes:
        weights: one name where the three are packed row by row, else one for each.
        biases: one name where they are packed, else one for each; a part of the block that is
            absent or None is a bias of zero.
    """

    weights: tuple[str, ...]
    biases: tuple[str, ...]


@dataclass(frozen=True)
class BlockNames:
    """Where a class of blocks keeps its parts, as dotted names within the block.

    An optional part that a block lacks, or that is None, is left out of the computation.

    Attributes:
        attention: multi-head attention.
        attention_norm: norm before it.
        qkv: its projections to queries, keys and values; the first that the block has.
        projection: its output projection, a linear layer.
        heads: its number of heads.
        mlp: the whole MLP.
        mlp_norm: norm before it.
        mlp_first: first linear layer of the MLP.
        mlp_activation: its activation.
        mlp_last: its last linear layer.
        attention_scales: what turns the attention's output in turn before it is added to the
            stream: modules, or parameters that multiply it.
        mlp_scales: the same of the MLP's output.
        query_norm: optional norm of the queries of each head.
        key_norm: optional norm of the keys of each head.
        inner_norm: optional norm of the mixed values before the output projection.
        logit_scale: what multiplies q . k; one over the root of the head's width where absent.
        rotary: keyword by which the block is given rotary positions, empty where there are none.
        rotate_half: whether they turn the halves of a head against each other, not neighbors.
        mask: keyword by which the block is given its attention mask, empty where it takes none.
        own_mask: optional additive mask that the block holds itself.
    """

    attention: str
    attention_norm: str
    qkv: tuple[QkvNames, ...]
    projection: str
    heads: str
    mlp: str
    mlp_norm: str
    mlp_first: str
    mlp_activation: str
    mlp_last: str
    attention_scales: tuple[str, ...] = ()
    mlp_scales: tuple[str, ...] = ()
    query_norm: str = ""
    key_norm: str = ""
    inner_norm: str = ""
    logit_scale: str = ""
    rotary: str = ""
    rotate_half: str = ""
    mask: str = ""
    own_mask: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """Names that every block of the class has, the projections to q, k and v left out."""
        norms = (self.attention_norm, self.mlp_norm)
        return (self.attention, *norms, self.projection, self.heads, self.mlp)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names that some blocks of the class have."""
        scales = (*self.attention_scales, *self.mlp_scales)
        norms = (self.query_norm, self.key_norm, self.inner_norm)
        inner = (self.mlp_first, self.mlp_activation, self.mlp_last)
        return tuple(n for n in (*scales, *norms, *inner, self.logit_scale) if n)


def found(module: nn.Module, name: str) -> Any:
    """A part, parameter or plain value of a module by its dotted name; None where it has none."""
    here: Any = module if name else None
    for step in name.split("."):
        here = getattr(here, step, None)
    return here


def qkv_of(module: nn.Module, names: BlockNames) -> QkvNames | None:
    """The projections that a block has: of those whose weights are there, one with biases first."""
    there = [one for one in names.qkv if all(found(module, w) is not None for w in one.weights)]
    biased = [one for one in there if any(found(module, b) is not None for b in one.biases)]
    return next(iter((*biased, *there)), None)
