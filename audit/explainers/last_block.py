"""The last attention of the image tower, of which only what reads the tokens depends on the target.

The trunk before it runs once for each distinct picture. What follows the last attention is computed
for the tokens that are read, with the model's own modules and parameters: the class token, all
tokens whose mean is read, or the learned query of a pooling by attention.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.distinct import distinct_rows, target_features
from audit.models.anatomy import Block, BlockTower, Tower, anatomy_of
from audit.models.block_table import call_of
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import ScoreInterface, interface_of
from audit.models.readout import Readout

Embed = Callable[[Tower, Tensor], tuple[Tensor, tuple[int, int]]]
Follow = Callable[[Tensor, Tensor], Tensor]
"""From the projected attention output of pairs, and the place of each's picture, to features."""


@dataclass(frozen=True)
class LastBlock:
    """What enters the last attention of the image tower, and how the tokens that are read go on.

    Attributes:
        block: the last image block, or the attention of a pooling behind it.
        q: queries of the tokens that are read, of each distinct picture.
        k: keys of all tokens.
        v: values of all tokens.
        picture: for each pair the place of its picture.
        target: feature of each pair's target.
        grid: patch rows and columns of the pictures that were run.
        prefix: tokens before the patches.
        alike: of the tokens that are read, those whose attention is read in the same way; None
            where the way is not the same for all.
        follow: from the projected attention output to the feature that the score is made of.
    """

    block: Block
    q: Float[Tensor, "pictures read width"]
    k: Float[Tensor, "pictures tokens width"]
    v: Float[Tensor, "pictures tokens width"]
    picture: Int[Tensor, " pairs"]
    target: Float[Tensor, "pairs feature"]
    grid: tuple[int, int]
    prefix: int
    alike: slice | None
    follow: Follow

    def attention(self) -> Float[Tensor, "pictures heads read tokens"]:
        """Attention of the tokens that are read, on the model's own heads."""
        return self.block.attention(self.q, self.k)

    def scores(self, output: Float[Tensor, "pairs read width"]) -> Float[Tensor, " pairs"]:
        """Score of each pair, from the attention output of the tokens that are read.

        Args:
            output: before the output projection, heads side by side.
        """
        feature = self.follow(self.block.project(output), self.picture)
        return (feature * self.target).sum(-1)

    def patches(self, relevance: Float[Tensor, "*n tokens"]) -> Float[Tensor, "*n patches"]:
        """What falls on the patches, of what falls on all tokens."""
        return relevance[..., self.prefix :]

    def on_grid(self, relevance: Float[Tensor, "pairs patches"]) -> Float[Tensor, "pairs h w"]:
        """Patches in rows and columns."""
        return relevance.reshape(-1, *self.grid)


@torch.no_grad()
def last_block(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    embed: Embed | None = None,
) -> LastBlock:
    """Run the model up to the last image block, once for each distinct picture and target.

    Args:
        model: the model under audit, in eval mode.
        images: preprocessed pictures.
        targets: token ids or class ids.
        interface: how the model is called; told by its structure where it is not given.
        embed: gives the tokens that enter the first block and their grid; default the model's own.

    Raises:
        UnknownAnatomyError: the inside of the model is not known.
        ValueError: what reads the tokens, or their embedding, is not known.
    """
    called: ScoreInterface = interface or interface_of(model)
    tower = (anatomy_of(model) if interface is None else interface.anatomy(model)).image
    pictures = distinct_rows(images)
    feature = target_features(called, model, targets)
    distinct = images[pictures.first]
    if isinstance(tower, Tower):
        return _of_class_token(tower, distinct, pictures.of, feature, embed or _embed)
    if embed is not None:
        raise ValueError(
            f"expected a tower of open_clip's own kind, got {type(model).__name__}: how it embeds "
            "pictures of another size is not known; give input=model"
        )
    if tower.reading is None:
        raise ValueError(
            f"expected a class token, the mean of tokens or a pooling by attention that is known "
            f"behind '{tower.blocks[-1].path}', found something else"
        )
    x, block = _entering(tower, distinct, called, model)
    return _of_reading(tower.reading, tower, block, x, pictures.of, feature)


def _of_class_token(
    tower: Tower, images: Tensor, picture: Tensor, target: Tensor, embed: Embed
) -> LastBlock:
    block = tower.blocks[-1]
    x, grid = embed(tower, images)
    x = tower.run(x, 0, len(tower.blocks) - 1)
    q, k, v = block.qkv(block.normalize(x))
    first = x[:, :1]

    def follow(projected: Tensor, of: Tensor) -> Tensor:
        return tower.score_features(block.finish(first[of], projected))

    place = picture, target, grid, tower.prefix, slice(None)
    return LastBlock(block, q[:, :1], k, v, *place, follow)


def _of_reading(
    reading: Readout, tower: BlockTower, block: Block, x: Tensor, picture: Tensor, target: Tensor
) -> LastBlock:
    place = picture, target, tower.grid, tower.prefix, reading.queries
    pooling = reading.pooling
    if pooling is not None:
        q, k, v = pooling.qkv(reading.normalized(block.run(x)))
        return LastBlock(
            pooling.block, q, k, v, *place, lambda o, _: reading.of_pooled(pooling.finish(o))
        )
    rows = reading.rows
    q, k, v = block.qkv(block.normalize(x))
    read = x[:, rows]

    def follow(projected: Tensor, of: Tensor) -> Tensor:
        return reading.of_rows(block.finish(read[of], projected))

    return LastBlock(block, q[:, rows], k, v, *place, follow)


def _entering(
    tower: BlockTower, images: Tensor, interface: ScoreInterface, model: nn.Module
) -> tuple[Float[Tensor, "pictures tokens width"], Block]:
    """What enters the last block when the model runs, and the block as it is called then."""
    block = tower.blocks[-1]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def listen(_: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        calls.append((args, keywords))

    handle = block.module.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        interface.features(model, images)
    finally:
        handle.remove()
    call = call_of(block.module, *calls[0])
    return call.x, replace(block, extra=call.extra)


def score_gradient(
    score: Callable[[Tensor], Float[Tensor, " pairs"]], at: Float[Tensor, "pairs ..."]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs ..."]]:
    """Score of each pair, and its gradient where each pair's score depends on its own row only."""
    with torch.enable_grad():
        leaf = at.detach().clone().requires_grad_()
        scores = score(leaf)
        (gradient,) = torch.autograd.grad(scores.sum(), leaf)
    return scores.detach(), gradient


def attention_gradient(
    seen: LastBlock, attention: Float[Tensor, "pictures heads read tokens"]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs heads read tokens"]]:
    """Score of each pair and its gradient by the attention probabilities of the tokens read.

    The probabilities are free variables here: the gradient does not pass through the softmax.
    """
    values = seen.v[seen.picture]
    scores, gradient = score_gradient(
        lambda a: seen.scores(seen.block.mix_values(a, values)), attention[seen.picture]
    )
    return scores, widen(gradient)


def widen(x: Tensor) -> Tensor:
    """At least single precision."""
    return x if x.dtype == torch.float64 else x.float()


def _embed(
    tower: Tower, images: Float[Tensor, "pictures 3 H W"]
) -> tuple[Float[Tensor, "pictures tokens width"], tuple[int, int]]:
    return tower.embed(images), tower.grid
