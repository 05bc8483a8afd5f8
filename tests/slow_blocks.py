"""The image tower of an open_clip model, head by head and by hand, for one picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Slow:
    """What a pass gave.

    Attributes:
        attention: of each block, (heads, tokens, tokens).
        states: what entered each block, and what left the last, (tokens, width).
        score: cosine with the text.
    """

    attention: list[Tensor]
    states: list[Tensor]
    score: Tensor


def text_of(model: nn.Module, token: Tensor) -> Tensor:
    """The normalized feature of a text."""
    return model.encode_text(token[None], normalize=True)[0].detach()


def feature_of(model: nn.Module, token: Tensor) -> Tensor:
    """The normalized image feature of a token that leaves the last block."""
    return functional.normalize(model.visual.ln_post(token) @ model.visual.proj, dim=-1)


def slow_pass(
    model: nn.Module, image: Tensor, text: Tensor, moves: list[Tensor] | None = None
) -> Slow:
    """Run a picture; ``moves`` are added to the attention of the blocks."""
    visual = model.visual
    x = visual._embeds(image[None])[0]  # noqa: SLF001 - open_clip's own
    attention, states = [], [x]
    for number, block in enumerate(visual.transformer.resblocks):
        own = block.attn
        width = x.shape[-1] // own.num_heads
        q, k, v = functional.linear(block.ln_1(x), own.in_proj_weight, own.in_proj_bias).chunk(
            3, -1
        )
        rows, mixed = [], []
        for head in range(own.num_heads):
            part = slice(head * width, (head + 1) * width)
            a = (q[:, part] @ k[:, part].T / width**0.5).softmax(-1)
            a = a if moves is None else a + moves[number][head]
            rows.append(a)
            mixed.append(a @ v[:, part])
        x = x + block.ls_1(own.out_proj(torch.cat(mixed, -1)))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        attention.append(torch.stack(rows))
        states.append(x)
    return Slow(attention, states, feature_of(model, x[0]) @ text)


def slow_slopes(
    model: nn.Module, image: Tensor, text: Tensor
) -> tuple[Slow, list[Tensor], list[Tensor]]:
    """A pass, and the gradients of its score by the attention and by the states."""
    visual = model.visual
    blocks, tokens = visual.transformer.resblocks, visual.positional_embedding.shape[0]
    heads = blocks[0].attn.num_heads
    moves = [
        torch.zeros(heads, tokens, tokens, dtype=image.dtype, requires_grad=True) for _ in blocks
    ]
    found = slow_pass(model, image, text, moves)
    slopes = torch.autograd.grad(found.score, [*moves, *found.states])
    return found, list(slopes[: len(moves)]), list(slopes[len(moves) :])
