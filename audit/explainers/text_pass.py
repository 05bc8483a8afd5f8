"""A pass through the text tower, and maps of the tokens of a text.

An explainer of texts leaves the picture's map even and gives a map of the tokens: so the checks
know that it explains the text tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows
from audit.explainers.last_block import widen
from audit.explainers.turns import gradients_in_turns
from audit.models.anatomy import Tower, UnknownAnatomyError, anatomy_of
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import ScoreInterface, interface_of


@dataclass(frozen=True)
class TextPairs:
    """Pairs as the text tower meets them: each distinct text once.

    Attributes:
        tower: the text tower.
        tokens: ids of the distinct texts.
        text: for each pair the place of its text.
        pictures: feature of each pair's picture.
        grid: patch rows and columns of the maps of pictures.
    """

    tower: Tower
    tokens: Int[Tensor, "texts context"]
    text: Int[Tensor, " pairs"]
    pictures: Float[Tensor, "pairs feature"]
    grid: tuple[int, int]

    @property
    def end(self) -> Int[Tensor, " texts"]:
        """The place of each text's end, which is pooled."""
        return self.tower.pooled_index(self.tokens)

    @property
    def content(self) -> Bool[Tensor, "texts context"]:
        """The tokens between the start and the end of each text."""
        place = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return (place > 0) & (place < self.end[:, None])

    def embeddings(self) -> Float[Tensor, "texts context width"]:
        """Embedded tokens, without their positions."""
        found: Tensor = self.tower.entry(self.tokens)
        return found.detach()

    def at_end(self, x: Float[Tensor, "texts context ..."]) -> Float[Tensor, "texts ..."]:
        """Of each token of a text the one that is pooled."""
        return x[torch.arange(len(x), device=x.device), self.end]

    def scores(self, x: Float[Tensor, "texts context width"]) -> Float[Tensor, " pairs"]:
        """The model's score of each pair, from the tokens that leave the last block."""
        features = functional.normalize(self.tower.readout(self.at_end(x)), dim=-1)
        return (features[self.text] * self.pictures).sum(-1)

    def run(self, x: Float[Tensor, "texts context width"]) -> Float[Tensor, " pairs"]:
        """The model's score of each pair, from the tokens that enter the first block."""
        return self.scores(self.tower.run(x, 0, len(self.tower.blocks), self.tokens))

    def explanation(
        self, relevance: Float[Tensor, "pairs context"], scores: Float[Tensor, " pairs"]
    ) -> Explanation:
        """Relevance of the tokens between start and end; all other tokens, and patches, have 0."""
        maps = relevance.new_zeros(len(relevance), *self.grid)
        return Explanation(maps, scores.detach(), relevance * self.content[self.text])


@torch.no_grad()
def text_pairs_of(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    interface: ModelInterface | None = None,
) -> TextPairs:
    """The distinct texts of some pairs, and the feature of each pair's picture.

    Raises:
        UnknownAnatomyError: the model has no text tower of open_clip's own kind.
    """
    called: ScoreInterface = interface or interface_of(model)
    tower = (anatomy_of(model) if interface is None else interface.anatomy(model)).text
    if not isinstance(tower, Tower):
        raise UnknownAnatomyError(
            f"expected open_clip's own text tower, whose token embedding and end of text are "
            f"known, got that of {type(model).__name__}; choose an explainer of pictures"
        )
    pictures, texts = distinct_rows(images), distinct_rows(targets)
    features = called.features(model, images[pictures.first])[pictures.of]
    tokens = targets[texts.first]
    return TextPairs(tower, tokens, texts.of, features.detach(), called.patch_grid(model))


@dataclass(frozen=True)
class TextPass:
    """What the blocks of a pass gave, in the graph of its scores.

    Attributes:
        pairs: what was run.
        q: queries of each block, heads side by side.
        k: keys.
        v: values.
        attention: probabilities.
        mixed: mixed values, before the output projection.
        scores: of the pairs.
    """

    pairs: TextPairs
    q: tuple[Float[Tensor, "texts context width"], ...]
    k: tuple[Float[Tensor, "texts context width"], ...]
    v: tuple[Float[Tensor, "texts context width"], ...]
    attention: tuple[Float[Tensor, "texts heads context context"], ...]
    mixed: tuple[Float[Tensor, "texts context width"], ...]
    scores: Float[Tensor, " pairs"]

    def gradients(
        self, *at: Float[Tensor, "texts ..."]
    ) -> Iterator[tuple[Bool[Tensor, " pairs"], tuple[Float[Tensor, "some ..."], ...]]]:
        """See `audit.explainers.turns.gradients_in_turns`; at least single precision."""
        for mine, slopes in gradients_in_turns(self.scores, at, self.pairs.text):
            yield mine, tuple(widen(slope) for slope in slopes)


def text_pass(pairs: TextPairs, start: int = 0, heads: int | None = None) -> TextPass:
    """Run the texts; from a block on, attention is computed step by step.

    Args:
        pairs: what to run.
        start: number of the first block that is asked for; those before run as they are and no
            gradient reaches them.
        heads: of the blocks from there on; default their own.
    """
    tower = pairs.tower
    with torch.no_grad():
        x = tower.run(tower.embed(pairs.tokens), 0, start, pairs.tokens)
    mask = tower.mask(x.shape[1])
    seen = []
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        for block in tower.blocks[start:]:
            q, k, v = block.qkv(block.normalize(x))
            a = block.attention(q, k, mask, heads)
            mixed = block.mix_values(a, v)
            x = block.finish(x, block.project(mixed))
            seen.append((q, k, v, a, mixed))
        scores = pairs.scores(x)
    q_all, k_all, v_all, attention, mixed_all = zip(*seen, strict=True)
    return TextPass(pairs, q_all, k_all, v_all, attention, mixed_all, scores)


def first_block(pairs: TextPairs, number: int) -> int:
    """The block that the option start names; a negative number counts from the end.

    Raises:
        ValueError: there is no such block.
    """
    blocks = len(pairs.tower.blocks)
    if not -blocks <= number < blocks:
        raise ValueError(
            f"expected start in {-blocks} to {blocks - 1}, as the text tower has {blocks} blocks, "
            f"got {number}"
        )
    return number % blocks
