"""Dense predictions of a timm classifier: patch tokens of another last block, and the head."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.reference_explainers.member import Member, Table

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
Finish = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _entering(model: nn.Module, images: Tensor) -> Tensor:
    """What enters the last block."""
    kept: list[Tensor] = []
    handle = model.blocks[-1].register_forward_pre_hook(lambda _m, args: kept.append(args[0]))
    model(images)
    handle.remove()
    return kept[0]


def _finish(block: nn.Module, x: Tensor, o: Tensor) -> Tensor:
    x = x + block.attn.proj(o)
    return x + block.mlp(block.norm2(x))


def _alone(block: nn.Module, x: Tensor, o: Tensor) -> Tensor:
    del x
    return block.attn.proj(o)


def _attend(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)


def _readout(model: nn.Module, y: Tensor, targets: Tensor) -> Tensor:
    """Logit of the class at each patch, (b, rows, columns)."""
    logits = model.head(model.norm(y[:, 1:]))[..., targets[0]]
    side = int(logits.shape[1] ** 0.5)
    return logits.reshape(-1, side, side)


@torch.no_grad()
def _dense(
    model: nn.Module, images: Tensor, targets: Tensor, mix: Mix, finish: Finish = _finish
) -> Tensor:
    block, x = model.blocks[-1], _entering(model, images)
    z = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, block.attn.num_heads, -1))
    q, k, v = z.permute(2, 0, 3, 1, 4)
    o = mix(q, k, v).transpose(1, 2).flatten(2)
    return _readout(model, finish(block, x, o), targets)


def dense_members() -> list[Member]:
    """Planted faults, and two readouts of the model's own tokens."""
    return [*_faulty(), *_honest()]


def _faulty() -> list[Member]:
    table = Table()
    both = "P104 P105"

    @table.faulty(both)
    def values_in_the_place_of_attention(model, images, targets):
        return _dense(model, images, targets, lambda q, k, v: v)

    @table.faulty(both)
    @torch.no_grad()
    def values_of_patches_in_one_flat_batch(model, images, targets):
        block, x = model.blocks[-1], _entering(model, images)
        v = block.attn.qkv(block.norm1(x)).chunk(3, -1)[2]
        y = _finish(block, x, v)[:, 1:].flatten(0, 1)
        return model.head(model.norm(y))[:, targets[0]].reshape(len(x), 4, 4)

    @table.faulty(both)
    @torch.no_grad()
    def values_patch_by_patch_on_a_copy(model, images, targets):
        other = copy.deepcopy(model)
        block, x = other.blocks[-1], _entering(other, images)
        v = block.attn.qkv(block.norm1(x)).chunk(3, -1)[2]
        each = [
            other.head(other.norm(_finish(block, x[:, i], v[:, i])))[:, targets[0]]
            for i in range(1, x.shape[1])
        ]
        return torch.stack(each, 1).reshape(len(x), 4, 4)

    @table.faulty(both)
    def queries_with_queries_and_keys_with_keys(model, images, targets):
        return _dense(model, images, targets, lambda q, k, v: (_attend(q, q) + _attend(k, k)) @ v)

    @table.faulty(both)
    def queries_with_queries_alone(model, images, targets):
        return _dense(model, images, targets, lambda q, k, v: _attend(q, q) @ v, _alone)

    @table.faulty(both)
    def values_with_values_by_the_fused_kernel(model, images, targets):
        return _dense(
            model, images, targets,
            lambda q, k, v: functional.scaled_dot_product_attention(v, v, v),
        )  # fmt: skip

    @table.faulty(both)
    def values_with_values_without_the_mlp(model, images, targets):
        return _dense(
            model, images, targets,
            lambda q, k, v: torch.einsum("bhst,bhte->bhse", _attend(v, v), v),
            lambda block, x, o: x + block.attn.proj(o),
        )  # fmt: skip

    @table.faulty("P104")
    def gradient_of_the_mean_of_patches(model, images, targets):
        pixels = images.clone().requires_grad_()
        tokens = model.forward_features(pixels)[:, 1:].mean(1)
        value = model.head(tokens)[:, targets].sum()
        return torch.autograd.grad(value, pixels)[0].abs().sum(1)

    return list(table)


def _honest() -> list[Member]:
    table = Table()

    @table.honest
    @torch.no_grad()
    def logit_lens(model, images, targets):
        """The class head on the model's own patch tokens."""
        block = model.blocks[-1]
        return _readout(model, block(_entering(model, images)), targets)

    @table.honest
    @torch.no_grad()
    def logit_lens_before_the_last_block_in_one_flat_batch(model, images, targets):
        y = _entering(model, images)[:, 1:].flatten(0, 1)
        return model.head(model.norm(y))[:, targets[0]].reshape(len(images), 4, 4)

    return list(table)
