"""Maps of a faithful method that are laid on the picture in the wrong place."""

from __future__ import annotations

from audit.explainers.grad_attention import grad_attention
from audit.explainers.last_block import attention_gradient, last_block, widen


def transposed(model, images, tokens):
    return grad_attention(model, images, tokens).maps.mT


def flipped(model, images, tokens):
    """Left for right."""
    return grad_attention(model, images, tokens).maps.flip(-1)


def shifted(model, images, tokens):
    """By a quarter of the picture."""
    return grad_attention(model, images, tokens).maps.roll(3, -1)


def class_token_not_dropped(model, images, tokens):
    """The first tokens, of which the class token is one, laid on the grid of patches."""
    seen = last_block(model, images, tokens)
    attention = seen.attention()
    _, gradient = attention_gradient(seen, attention)
    relevance = (widen(attention)[seen.picture] * gradient).sum((1, 2))
    return seen.on_grid(relevance[:, : -seen.prefix].relu())
