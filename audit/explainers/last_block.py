"""The last image block, of which only the class token's path depends on the text.

The trunk before it runs once for each distinct picture. What follows the last attention is computed
for the class token alone, with the model's own modules and parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.distinct import distinct_rows, target_features
from audit.models.anatomy import Anatomy, Block, Tower, anatomy_of
from audit.models.module_interface import interface_of

Embed = Callable[[Tower, Tensor], tuple[Tensor, tuple[int, int]]]


@dataclass(frozen=True)
class LastBlock:
    """What enters the attention of the last image block, and how the class token goes on.

    Attributes:
        anatomy: the model.
        block: its last image block.
        x: class token that enters the block, of each distinct picture.
        q: its query.
        k: keys of all tokens.
        v: values of all tokens.
        picture: for each pair the place of its picture.
        text: normalized text feature of each pair.
        grid: patch rows and columns of the pictures that were run.
    """

    anatomy: Anatomy
    block: Block
    x: Float[Tensor, "pictures 1 width"]
    q: Float[Tensor, "pictures 1 width"]
    k: Float[Tensor, "pictures tokens width"]
    v: Float[Tensor, "pictures tokens width"]
    picture: Int[Tensor, " pairs"]
    text: Float[Tensor, "pairs feature"]
    grid: tuple[int, int]

    def scores(self, output: Float[Tensor, "pairs 1 width"]) -> Float[Tensor, " pairs"]:
        """Cosine score of each pair, from the class token's attention output before `out_proj`."""
        x = self.block.finish(self.x[self.picture], self.block.project(output))
        feature = functional.normalize(self.anatomy.image.readout(x[:, 0]), dim=-1)
        return (feature * self.text).sum(-1)

    def on_grid(self, relevance: Float[Tensor, "pairs patches"]) -> Float[Tensor, "pairs h w"]:
        """Patches in rows and columns."""
        return relevance.reshape(-1, *self.grid)


@torch.no_grad()
def last_block(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    embed: Embed | None = None,
) -> LastBlock:
    """Run the model up to the last image block, once for each distinct picture and text.

    Args:
        model: the model under audit, in eval mode.
        images: preprocessed pictures.
        targets: token ids.
        embed: gives the tokens that enter the first block and their grid; default the model's own.
    """
    anatomy = anatomy_of(model)
    tower, block = anatomy.image, anatomy.image.blocks[-1]
    pictures = distinct_rows(images)
    x, grid = (embed or _embed)(tower, images[pictures.first])
    x = tower.run(x, 0, len(tower.blocks) - 1)
    q, k, v = block.qkv(block.normalize(x))
    text = target_features(interface_of(model), model, targets)
    return LastBlock(anatomy, block, x[:, :1], q[:, :1], k, v, pictures.of, text, grid)


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
    seen: LastBlock, attention: Float[Tensor, "pictures heads 1 tokens"]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs heads tokens"]]:
    """Score of each pair and its gradient by the class token's attention probabilities.

    The probabilities are free variables here: the gradient does not pass through the softmax.
    """
    values = seen.v[seen.picture]
    scores, gradient = score_gradient(
        lambda a: seen.scores(seen.block.mix_values(a, values)), attention[seen.picture]
    )
    return scores, widen(gradient)[:, :, 0]


def widen(x: Tensor) -> Tensor:
    """At least single precision."""
    return x if x.dtype == torch.float64 else x.float()


def _embed(
    tower: Tower, images: Float[Tensor, "pictures 3 H W"]
) -> tuple[Float[Tensor, "pictures tokens width"], tuple[int, int]]:
    return tower.embed(images), tower.grid
