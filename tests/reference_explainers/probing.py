"""Probes that honest and faulty members share: knock-out of keys, and activation patching."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts


def closed(length, token):
    """An additive mask that closes one key, or none."""
    mask = torch.zeros(length)
    if token is not None:
        mask[token] = -torch.inf
    return mask


def knock_out(model, images, tokens, attend=parts.attention, finish=parts.after_attention):
    """Drop of the score where one key of the last block is closed, by own code."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))

        def score(token):
            o = parts.merge(attend(q, k, closed(x.shape[1], token)) @ v)
            return (parts.readout(model, finish(blocks[-1], x, o)) * text).sum(-1)

        full = score(None)
        drops = [full - score(i) for i in range(1, x.shape[1])]
    return parts.grid(model, torch.stack(drops, 1))


def patching(model, images, tokens, change=lambda x, index: x):
    """CAAP: each patch's tokens of the picture are put into the run of an empty picture.

    ``change`` alters what enters each block from the second on, in every run.
    """
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    kept, state = {}, {"patch": None}

    def make(index):
        def hook(module, args):
            x = change(args[0], index)
            if state["patch"] is None:
                kept[index] = x
            else:
                x = x.clone()
                x[:, state["patch"]] = kept[index][:, state["patch"]]
            return (x, *args[1:])

        return hook

    handles = [blocks[i].register_forward_pre_hook(make(i)) for i in range(1, len(blocks))]
    empty = torch.zeros_like(images)
    out = []
    with torch.no_grad():
        model.encode_image(images)
        for patch in range(1, model.visual.positional_embedding.shape[0]):
            state["patch"] = patch
            out.append((F.normalize(model.encode_image(empty), dim=-1) * text).sum(-1))
    for handle in handles:
        handle.remove()
    return parts.grid(model, torch.stack(out, 1))
