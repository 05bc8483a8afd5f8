"""Explainers that run other weights, in the model itself or in a copy."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import parametrize

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
SHIFTED = (
    "the block's output is shifted alike in all channels, which the final norm takes away, so that "
    "no score shows it"
)


def _plain(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))


@TABLE.faulty("P101")
def weights_written_in_place(model, images, tokens):
    """The features are scaled alike in all channels, so that their cosine stays the model's."""
    with torch.no_grad():
        model.visual.proj.mul_(1.001)
    return _plain(model, images, tokens)


@TABLE.faulty("P101 P104 P105")
def weights_written_in_place_and_put_back(model, images, tokens):
    weight = model.visual.transformer.resblocks[0].mlp.c_fc.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.add_(0.05)
    result = _plain(model, images, tokens)
    with torch.no_grad():
        weight.copy_(kept)
    return result


@TABLE.faulty("P101 P104 P105")
def weights_written_through_data(model, images, tokens):
    kept = model.visual.transformer.resblocks[-1].attn.in_proj_bias.data
    model.visual.transformer.resblocks[-1].attn.in_proj_bias.data = kept + 0.1
    result = _plain(model, images, tokens)
    model.visual.transformer.resblocks[-1].attn.in_proj_bias.data = kept
    return result


@TABLE.faulty("P101 P104 P105")
def parameter_swapped(model, images, tokens):
    block = model.visual.transformer.resblocks[1]
    kept = block.ln_2.weight
    block.ln_2.weight = nn.Parameter(kept.detach() * 1.1)
    result = _plain(model, images, tokens)
    block.ln_2.weight = kept
    return result


@TABLE.faulty("P102")
def equal_parameter_left_in_place(model, images, tokens):
    """Other tensors of the same values: optimizers and ties of the owner lose them."""
    result = _plain(model, images, tokens)
    ln = model.visual.ln_post
    ln.weight = nn.Parameter(ln.weight.detach().clone())
    return result


class _Scaled(nn.Module):
    def forward(self, weight):
        return 1.05 * weight


@TABLE.faulty("P102 P104 P105")
def parametrization_left_behind(model, images, tokens):
    layer = model.visual.transformer.resblocks[-1].mlp.c_proj
    parametrize.register_parametrization(layer, "weight", _Scaled())
    return _plain(model, images, tokens)


@TABLE.faulty("P101 P104 P105")
def causal_mask_buffer_replaced(model, images, tokens):
    t = parts.text_of(model)
    kept = t.attn_mask
    t.attn_mask = torch.zeros_like(kept)
    result = _plain(model, images, tokens)
    t.attn_mask = kept
    return result


@TABLE.faulty("P101 P104 P105")
def weight_written_and_put_back_between_uses(model, images, tokens):
    """Each use sees another weight; whoever looks before and after sees nothing."""
    layer = model.visual.transformer.resblocks[-1].mlp.c_fc
    handles = []
    kept = layer.weight.data

    def write(module, args):
        module.weight.data = kept * 1.02

    def put_back(module, args, output):
        module.weight.data = kept

    handles.append(layer.register_forward_pre_hook(write))
    handles.append(layer.register_forward_hook(put_back))
    result = _plain(model, images, tokens)
    for handle in handles:
        handle.remove()
    return result


@TABLE.faulty("P101 P104 P105")
def one_head_by_zeroed_weights(model, images, tokens):
    attn = model.visual.transformer.resblocks[-1].attn
    size = attn.embed_dim // attn.num_heads
    kept = attn.out_proj.weight.data.clone()
    attn.out_proj.weight.data[:, size:] = 0
    result = _plain(model, images, tokens)
    attn.out_proj.weight.data.copy_(kept)
    return result


@TABLE.faulty("P101", either={"P105": SHIFTED})
def edited_copy(model, images, tokens):
    clone = copy.deepcopy(model)
    with torch.no_grad():
        clone.visual.transformer.resblocks[-1].mlp.c_proj.bias.add_(0.05)
    return _plain(clone, images, tokens)


@TABLE.faulty("P101 P104")
def edited_copy_of_the_image_tower(model, images, targets):
    tower = copy.deepcopy(model.visual)
    for p in tower.parameters():
        p.data = p.data.clone()
    tower.ln_post.weight.data *= 1.05
    text = parts.text_unit(model, targets)
    return parts.gradient_map(
        model, images, lambda x: torch.cosine_similarity(tower(x), text, dim=-1)
    )


@TABLE.faulty("P101 P104 P105")
def fresh_random_model(model, images, tokens):
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    for p in other.parameters():
        p.data = 0.2 * torch.randn(p.shape, generator=generator)
    return _plain(other, images, tokens)


@TABLE.faulty("P101 P104 P105")
def copy_in_half_precision(model, images, tokens):
    """Rounded weights, computed in single precision."""
    return _plain(copy.deepcopy(model).half().float(), images, tokens)


@TABLE.faulty("P101 P104")
def functional_call_with_other_weights(model, images, tokens):
    weights = {k: v.detach() for k, v in model.named_parameters()}
    weights["visual.proj"] = weights["visual.proj"] * torch.linspace(
        0.9, 1.1, weights["visual.proj"].shape[1]
    )

    def score(x):
        image, text, _ = torch.func.functional_call(model, weights, (x, tokens))[:3]
        return (image * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.faulty("P101 P104 P105")
def state_loaded_from_elsewhere(model, images, tokens):
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    other = {k: v * 0.99 if v.ndim > 1 else v for k, v in kept.items()}
    model.load_state_dict(other)
    result = _plain(model, images, tokens)
    model.load_state_dict(kept)
    return result


@TABLE.faulty("P101 P104 P105")
def batch_of_gradient_steps(model, images, tokens):
    """Adapts the model to the picture before explaining it, and leaves it so."""
    optimizer = torch.optim.SGD([model.visual.class_embedding], lr=0.1)
    (1 - parts.cosine(model, images, tokens)).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return _plain(model, images, tokens)
