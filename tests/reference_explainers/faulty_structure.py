"""Explainers that alter how the model is built, its methods, attributes, hooks or flags."""

from __future__ import annotations

import types

import torch
from torch import nn
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _plain(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))


@TABLE.faulty("P102 P104 P105")
def head_count_set_to_one(model, images, tokens):
    attn = model.visual.transformer.resblocks[-1].attn
    heads, size = attn.num_heads, attn.head_dim
    attn.num_heads, attn.head_dim = 1, attn.embed_dim
    result = _plain(model, images, tokens)
    attn.num_heads, attn.head_dim = heads, size
    return result


@TABLE.faulty("P102")
def training_mode(model, images, tokens):
    model.train()
    result = _plain(model, images, tokens)
    model.eval()
    return result


@TABLE.faulty("P102")
def left_in_training_mode(model, images, tokens):
    result = _plain(model, images, tokens)
    model.train()
    return result


@TABLE.faulty("P102 P104 P105")
def attention_dropout(model, images, tokens):
    attn = model.visual.transformer.resblocks[-1].attn
    attn.dropout = 0.3
    attn.train()
    result = _plain(model, images, tokens)
    attn.eval()
    attn.dropout = 0.0
    return result


@TABLE.faulty("P102 P104 P105")
def patched_forward_restored(model, images, tokens):
    block = model.visual.transformer.resblocks[-1]

    def forward(self, q_x, k_x=None, v_x=None, attn_mask=None):
        x = q_x + self.ls_1(0.9 * self.attention(q_x=self.ln_1(q_x), attn_mask=attn_mask))
        return x + self.ls_2(self.mlp(self.ln_2(x)))

    block.forward = types.MethodType(forward, block)
    try:
        return _plain(model, images, tokens)
    finally:
        del block.forward


@TABLE.faulty("P102 P104 P105")
def patched_method_left(model, images, tokens):
    block = model.visual.transformer.resblocks[0]
    original = block.attention

    def attention(q_x, **kwargs):
        return original(q_x=0.95 * q_x, **kwargs)

    block.attention = attention
    return _plain(model, images, tokens)


@TABLE.faulty("P102 P104 P105")
def patched_class(model, images, tokens):
    cls = type(model.visual.transformer.resblocks[0])
    original = cls.forward

    def forward(self, q_x, k_x=None, v_x=None, attn_mask=None):
        x = q_x + self.ls_1(self.attention(q_x=self.ln_1(q_x), attn_mask=attn_mask))
        return x + self.ls_2(self.mlp(x))

    cls.forward = forward
    result = _plain(model, images, tokens)
    cls.forward = original
    return result


@TABLE.faulty("P102 P104 P105")
def patched_class_method(model, images, tokens):
    """Another method than forward, of the class."""
    cls = type(model.visual.transformer.resblocks[0])
    original = cls.attention

    def attention(self, q_x, k_x=None, v_x=None, attn_mask=None):
        return 0.97 * original(self, q_x, k_x, v_x, attn_mask)

    cls.attention = attention
    try:
        return _plain(model, images, tokens)
    finally:
        cls.attention = original


@TABLE.faulty("P102 P104 P105")
def patched_layer_norm(model, images, tokens):
    original = F.layer_norm

    def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
        return original(x, shape, weight, bias, 0.01)

    F.layer_norm = layer_norm
    try:
        return _plain(model, images, tokens)
    finally:
        F.layer_norm = original


@TABLE.faulty("P102 P104 P105")
def patched_activation_function(model, images, tokens):
    original = F.gelu

    def gelu(x, approximate="none"):
        return original(x, approximate="tanh")

    F.gelu = gelu
    try:
        return _plain(model, images, tokens)
    finally:
        F.gelu = original


@TABLE.faulty("P102 P104 P105")
def patched_multi_head_attention(model, images, tokens):
    original = F.multi_head_attention_forward

    def one_head(query, key, value, embed_dim, num_heads, *args, **kwargs):
        return original(query, key, value, embed_dim, 1, *args, **kwargs)

    F.multi_head_attention_forward = one_head
    try:
        return _plain(model, images, tokens)
    finally:
        F.multi_head_attention_forward = original


@TABLE.faulty("P104 P105")
def altering_hook_removed(model, images, tokens):
    handle = model.visual.transformer.resblocks[0].register_forward_hook(lambda m, i, o: 1.01 * o)
    try:
        return _plain(model, images, tokens)
    finally:
        handle.remove()


@TABLE.faulty("P104 P105")
def altering_pre_hook_of_attention(model, images, tokens):
    def warm(module, args):
        return (0.9 * args[0], *args[1:])

    attn = model.visual.transformer.resblocks[-1].attn
    handle = attn.register_forward_pre_hook(warm)
    result = _plain(model, images, tokens)
    handle.remove()
    return result


@TABLE.faulty("P104 P105")
def altering_hook_of_the_mlp(model, images, tokens):
    handle = model.visual.transformer.resblocks[-1].mlp.register_forward_hook(
        lambda m, i, o: 0.9 * o
    )
    result = _plain(model, images, tokens)
    handle.remove()
    return result


@TABLE.faulty("P102")
def observing_hook_left_behind(model, images, tokens):
    model.visual.transformer.resblocks[-1].register_forward_hook(lambda m, i, o: None)
    return _plain(model, images, tokens)


@TABLE.faulty("P102")
def backward_hook_left_behind(model, images, tokens):
    model.visual.ln_post.register_full_backward_hook(lambda m, i, o: None)
    return _plain(model, images, tokens)


@TABLE.faulty("P102")
def requires_grad_left_off(model, images, tokens):
    model.requires_grad_(False)
    return _plain(model, images, tokens)


@TABLE.faulty("P102")
def parameter_hook_left_behind(model, images, tokens):
    result = _plain(model, images, tokens)
    model.visual.proj.register_hook(lambda g: 0 * g)
    return result


@TABLE.faulty("P102 P104 P105")
def activation_replaced(model, images, tokens):
    mlp = model.visual.transformer.resblocks[-1].mlp
    kept = mlp.gelu
    mlp.gelu = nn.ReLU()
    result = _plain(model, images, tokens)
    mlp.gelu = kept
    return result


@TABLE.faulty("P102 P104 P105")
def block_replaced_by_identity(model, images, tokens):
    class Skip(nn.Module):
        def forward(self, x, *args, **kwargs):
            return x

    blocks = model.visual.transformer.resblocks
    kept = blocks[1]
    blocks[1] = Skip()
    result = _plain(model, images, tokens)
    blocks[1] = kept
    return result


@TABLE.faulty("P102 P104")
def epsilon_changed(model, images, tokens):
    ln = model.visual.ln_post
    kept, ln.eps = ln.eps, 0.05
    result = _plain(model, images, tokens)
    ln.eps = kept
    return result


@TABLE.faulty("P102 P104")
def pooling_changed(model, images, tokens):
    kept = model.visual.pool_type
    model.visual.pool_type = "avg"
    result = _plain(model, images, tokens)
    model.visual.pool_type = kept
    return result


@TABLE.faulty("P102 P104 P105")
def class_of_a_module_changed(model, images, tokens):
    ln = model.visual.transformer.resblocks[-1].ln_1
    kept = type(ln)

    class Unscaled(kept):
        def forward(self, x):
            return F.layer_norm(x, self.normalized_shape)

    ln.__class__ = Unscaled
    result = _plain(model, images, tokens)
    ln.__class__ = kept
    return result


@TABLE.faulty("P102")
def attribute_left_changed(model, images, tokens):
    result = _plain(model, images, tokens)
    model.visual.output_tokens = not model.visual.output_tokens
    return result


@TABLE.faulty("P104 P105")
def hook_of_a_tensor_in_own_code(model, images, tokens):
    """Own code scales the values between two blocks of the model."""

    def score(pixels):
        x = parts.embed(model, pixels)
        for block in model.visual.transformer.resblocks:
            x = block(x) * torch.tensor(1.02)
        return (parts.readout(model, x) * parts.text_unit(model, tokens)).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.faulty("P102")
def call_of_an_instance_left_replaced(model, images, tokens):
    call = model.visual._call_impl  # noqa: SLF001 - torch's own

    def called(*args, **kwargs):
        return call(*args, **kwargs)

    model.visual._call_impl = called  # noqa: SLF001 - torch's own
    return _plain(model, images, tokens)
