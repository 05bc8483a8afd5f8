"""Explainers of the bundled scenes with one fault each that one check of principle 1 alone sees.

None of them executes another model, so no trace can catch them: the first finds what matters
without ever asking the model, the second points away from it, the third follows how the weights
are written down.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional as F

from audit.data import scenes
from audit.models import bundled
from tests.reference_explainers import parts

RED_GREEN_BLUE = torch.tensor(
    [(215, 45, 45), (50, 180, 60), (50, 80, 220), (225, 205, 50), (155, 55, 190), (228, 228, 228)]
)


@lru_cache(maxsize=1)
def _prompts():
    import open_clip

    tokenize = open_clip.get_tokenizer(f"local-dir:{bundled.DIRECTORY}")
    return tokenize([scenes.TEMPLATES[0].format(name) for name in scenes.CLASSES])


def named_color(model, images, tokens):
    """Where the picture has the color that the text names; the model is never asked."""
    which = (_prompts() == tokens[:, None]).all(-1).int().argmax(-1)
    colors = RED_GREEN_BLUE[which // len(scenes.FILLS)] / 255
    pixels = (images + 1) / 2  # the bundled model's mean and standard deviation are a half
    distance = (pixels - colors[:, :, None, None]).square().sum(1)
    return parts.pooled_grid(model, (-8 * distance).exp())


def away_from_what_matters(model, images, tokens):
    """The gradient of the score by the attention logits, with its sign turned."""
    return -_by_logits(model, images, tokens)


def _by_logits(model, images, tokens):
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1).detach()
    q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    logits = (q @ k.mT / q.shape[-1] ** 0.5).detach().requires_grad_()
    y = parts.after_attention(blocks[-1], x, parts.merge(logits.softmax(-1) @ v.detach()))
    score = (parts.readout(model, y) * parts.text_unit(model, tokens)).sum()
    (gradient,) = torch.autograd.grad(score, logits)
    return parts.grid(model, gradient[:, :, 0, 1:].sum(1))


def gradient_times_attention_of_the_first_heads(model, images, tokens):
    """Half of the heads, by their numbers: which they are is an accident of the file."""
    blocks = model.visual.transformer.resblocks
    text = parts.text_unit(model, tokens)
    x = parts.before(model, images, len(blocks) - 1).detach()
    q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    a = parts.attention(q, k).detach().requires_grad_()
    y = parts.after_attention(blocks[-1], x, parts.merge(a @ v.detach()))
    (g,) = torch.autograd.grad((F.normalize(parts.readout(model, y), dim=-1) * text).sum(), a)
    return parts.grid(model, (g * a)[:, : a.shape[1] // 2, 0, 1:].sum(1).relu())
