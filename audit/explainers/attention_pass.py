"""A pass through the image tower in which every block's attention is a variable of its own.

The blocks compute with the model's own modules and parameters; what the pass gives is the model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.turns import gradients_in_turns
from audit.models.anatomy import (
    Block,
    KnownTower,
    anatomy_of,
    features_of_class_token,
    reads_class_token,
)
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import interface_of


@dataclass(frozen=True)
class Pairs:
    """Pairs as the image tower meets them: each distinct picture once.

    Attributes:
        tower: the image tower.
        images: the distinct pictures.
        picture: for each pair the place of its picture.
        wanted: target feature of each pair.
    """

    tower: KnownTower
    images: Float[Tensor, "pictures 3 H W"]
    picture: Int[Tensor, " pairs"]
    wanted: Float[Tensor, "pairs feature"]

    def scores(self, tokens: Float[Tensor, "pictures tokens width"]) -> Float[Tensor, " pairs"]:
        """The model's score of each pair, from the tokens that leave the last block."""
        rows = torch.arange(len(tokens), device=tokens.device)
        pooled = tokens[rows, self.tower.pooled_index(tokens)]
        return (self.features(pooled)[self.picture] * self.wanted).sum(-1)

    def features(self, pooled: Float[Tensor, "rows width"]) -> Float[Tensor, "rows feature"]:
        """The feature that the score is made of, from class tokens that leave the last block."""
        return features_of_class_token(self.tower, pooled)

    def on_grid(self, tokens: Float[Tensor, "pairs tokens"]) -> Float[Tensor, "pairs h w"]:
        """Relevance of all tokens as a map: the patches, which come last, in rows and columns."""
        patches: Tensor = self.patches(tokens)
        return patches.reshape(*patches.shape[:-1], *self.tower.grid)

    def patches(self, tokens: Shaped[Tensor, "*rows tokens"]) -> Shaped[Tensor, "*rows patches"]:
        """Of all tokens those of the patches, which come last."""
        rows, columns = self.tower.grid
        return tokens[..., -rows * columns :]

    def pooled_row(
        self, attention: Float[Tensor, "*rows tokens tokens"]
    ) -> Float[Tensor, "*rows tokens"]:
        """Of an attention, or its gradient, what the pooled token takes from each token."""
        return attention[..., 0, :]

    def block_number(self, number: int, name: str = "start") -> int:
        """The block that an option names; a negative number counts from the end.

        Raises:
            ValueError: there is no such block.
        """
        blocks = len(self.tower.blocks)
        if not -blocks <= number < blocks:
            raise ValueError(
                f"expected {name} in {-blocks} to {blocks - 1}, as the image tower has {blocks} "
                f"blocks, got {number}"
            )
        return number % blocks


def pairs_of(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    interface: ModelInterface | None = None,
) -> Pairs:
    """The distinct pictures of some pairs, and the feature of each pair's target.

    Raises:
        UnknownAnatomyError: the inside of the model is not known.
        ValueError: the model reads no class token.
    """
    pictures = distinct_rows(images)
    called = interface or interface_of(model)
    wanted = target_features(called, model, targets)
    tower = (anatomy_of(model) if interface is None else interface.anatomy(model)).image
    if not reads_class_token(tower):
        raise ValueError(
            f"expected a model that reads a class token behind '{tower.blocks[-1].path}', found "
            "one that reads its tokens in another way; choose grad-attention, which takes each way"
        )
    return Pairs(tower, images.detach()[pictures.first], pictures.of, wanted)


@dataclass(frozen=True)
class AttentionPass:
    """What the blocks of a pass gave, in the graph of its scores.

    Attributes:
        pairs: what was run.
        inputs: what entered each block.
        attention: probabilities of each block.
        outputs: what left it.
        scores: the model's.
    """

    pairs: Pairs
    inputs: tuple[Float[Tensor, "pictures tokens width"], ...]
    attention: tuple[Float[Tensor, "pictures heads tokens tokens"], ...]
    outputs: tuple[Float[Tensor, "pictures tokens width"], ...]
    scores: Float[Tensor, " pairs"]

    def gradients(
        self, *at: Float[Tensor, "pictures ..."]
    ) -> Iterator[tuple[Bool[Tensor, " pairs"], tuple[Float[Tensor, "some ..."], ...]]]:
        """See `audit.explainers.turns.gradients_in_turns`; at least single precision."""
        for mine, slopes in gradients_in_turns(self.scores, at, self.pairs.picture):
            yield mine, tuple(widen(slope) for slope in slopes)


def attention_pass(pairs: Pairs, start: int = 0) -> AttentionPass:
    """Run the pictures; from a block on, attention is computed step by step.

    Args:
        pairs: what to run.
        start: number of the first block that is asked for; those before run as they are and no
            gradient reaches them.
    """
    tower = pairs.tower
    with torch.no_grad():
        x = tower.run(tower.embed(pairs.images), 0, start)
    inputs, attentions, outputs = [], [], []
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        for block in tower.blocks[start:]:
            inputs.append(x)
            a, v = attention_and_values(block, x)
            x = block.finish(x, block.project(block.mix_values(a, v)))
            attentions.append(a)
            outputs.append(x)
        scores = pairs.scores(x)
    return AttentionPass(pairs, tuple(inputs), tuple(attentions), tuple(outputs), scores)


def attention_and_values(
    block: Block, x: Float[Tensor, "b t d"]
) -> tuple[Float[Tensor, "b h t t"], Float[Tensor, "b t e"]]:
    """Attention probabilities of a block, and the values that they mix, from what enters it."""
    q, k, v = block.qkv(block.normalize(x))
    return block.attention(q, k), v


def attentions_of(pairs: Pairs) -> tuple[Float[Tensor, "pictures heads tokens tokens"], ...]:
    """Attention probabilities of every block, at least single precision, without a graph."""
    found = []
    with torch.no_grad():
        x = pairs.tower.embed(pairs.images)
        for block in pairs.tower.blocks:
            a, v = attention_and_values(block, x)
            x = block.finish(x, block.project(block.mix_values(a, v)))
            found.append(widen(a))
    return tuple(found)
