"""Explainers whose map of a pair depends on its neighbours in the batch, or on chance."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _plain(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))


@TABLE.faulty("P109")
def scaled_by_the_largest_of_the_batch(model, images, tokens):
    maps = _plain(model, images, tokens)
    return maps / maps.max()


@TABLE.faulty("P109")
def contrastive_loss_over_the_batch(model, images, tokens):
    """Each pair's rivals are the other texts that happen to be in the batch."""
    text = parts.text_unit(model, tokens)

    def loss(x):
        logits = 20 * F.normalize(model.encode_image(x), dim=-1) @ text.T
        return logits.diagonal() - torch.logsumexp(logits, 1) / 2

    return parts.gradient_map(model, images, loss)


@TABLE.faulty("P109")
def gradient_of_all_pairs(model, images, targets):
    """The sum over the whole matrix of scores, not over its diagonal."""
    text = parts.text_unit(model, targets)
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) @ text.T).sum(1)
    )


@TABLE.faulty("P109")
def undeclared_noise(model, images, tokens):
    maps = _plain(model, images, tokens)
    return maps + 0.3 * maps.std() * torch.randn_like(maps)


@TABLE.faulty("P109")
def centered_by_the_mean_of_the_batch(model, images, tokens):
    maps = _plain(model, images, tokens)
    return maps - 0.5 * maps.mean(0, keepdim=True)


@TABLE.faulty("P109")
def maps_in_reverse_order(model, images, tokens):
    return _plain(model, images, tokens).flip(0)
