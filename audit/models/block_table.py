"""The table of transformer blocks: where each class of them keeps its parts.

A row says nothing of what a block computes. Whether the block is what its names promise is asked
of the block itself when a model is loaded, by `audit.models.block_check`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from audit.models.block_names import BlockNames, QkvNames, found, qkv_of
from audit.models.transformer_block import Block, TowerName


def _packed(weight: str, bias: str) -> QkvNames:
    return QkvNames((weight,), (bias,))


def _separate(attention: str) -> QkvNames:
    layers = [f"{attention}.{part}_proj" for part in "qkv"]
    return QkvNames(tuple(f"{n}.weight" for n in layers), tuple(f"{n}.bias" for n in layers))


_OPEN_CLIP = BlockNames(
    attention="attn",
    attention_norm="ln_1",
    qkv=(_packed("attn.in_proj_weight", "attn.in_proj_bias"),),
    projection="attn.out_proj",
    heads="attn.num_heads",
    mlp="mlp",
    mlp_norm="ln_2",
    mlp_first="mlp.c_fc",
    mlp_activation="mlp.gelu",
    mlp_last="mlp.c_proj",
    attention_scales=("ln_attn", "ls_1"),
    mlp_scales=("ls_2",),
    query_norm="attn.ln_q",
    key_norm="attn.ln_k",
    inner_norm="attn.ln_inner",
    mask="attn_mask",
    own_mask="attn_mask",  # of the block that open_clip's is made after, in OpenAI's `clip`
)
_TORCHVISION = BlockNames(
    attention="self_attention",
    attention_norm="ln_1",
    qkv=(_packed("self_attention.in_proj_weight", "self_attention.in_proj_bias"),),
    projection="self_attention.out_proj",
    heads="self_attention.num_heads",
    mlp="mlp",
    mlp_norm="ln_2",
    mlp_first="mlp.0",
    mlp_activation="mlp.1",
    mlp_last="mlp.3",
)
_TIMM = BlockNames(
    attention="attn",
    attention_norm="norm1",
    qkv=(_packed("attn.qkv.weight", "attn.qkv.bias"),),
    projection="attn.proj",
    heads="attn.num_heads",
    mlp="mlp",
    mlp_norm="norm2",
    mlp_first="mlp.fc1",
    mlp_activation="mlp.act",
    mlp_last="mlp.fc2",
    attention_scales=("ls1",),
    mlp_scales=("ls2",),
    query_norm="attn.q_norm",
    key_norm="attn.k_norm",
    inner_norm="attn.norm",
    logit_scale="attn.scale",
    mask="attn_mask",
)
_EVA = replace(
    _TIMM,
    qkv=(
        *_TIMM.qkv,
        QkvNames(("attn.qkv.weight",), ("attn.q_bias", "attn.k_bias", "attn.v_bias")),
        _separate("attn"),
    ),
    attention_scales=("gamma_1",),
    mlp_scales=("gamma_2",),
    rotary="rope",
    rotate_half="attn.rotate_half",
)
_CLIP = BlockNames(
    attention="self_attn",
    attention_norm="layer_norm1",
    qkv=(_separate("self_attn"),),
    projection="self_attn.out_proj",
    heads="self_attn.num_heads",
    mlp="mlp",
    mlp_norm="layer_norm2",
    mlp_first="mlp.fc1",
    mlp_activation="mlp.activation_fn",
    mlp_last="mlp.fc2",
    logit_scale="self_attn.scale",
    mask="attention_mask",
)
_BLIP = replace(
    _CLIP,
    qkv=(_packed("self_attn.qkv.weight", "self_attn.qkv.bias"),),
    projection="self_attn.projection",
)
_VIT = BlockNames(
    attention="attention",
    attention_norm="layernorm_before",
    qkv=(_separate("attention"),),
    projection="attention.o_proj",
    heads="attention.num_attention_heads",
    mlp="mlp",
    mlp_norm="layernorm_after",
    mlp_first="mlp.fc1",
    mlp_activation="mlp.activation_fn",
    mlp_last="mlp.fc2",
    logit_scale="attention.scaling",
    mask="attention_mask",
)
_DINO = replace(
    _VIT,
    attention_norm="norm1",
    mlp_norm="norm2",
    attention_scales=("layer_scale1",),
    mlp_scales=("layer_scale2",),
)
_DINO_3 = replace(
    _DINO,
    heads="attention.num_heads",
    mlp_first="mlp.up_proj",
    mlp_activation="mlp.act_fn",
    mlp_last="mlp.down_proj",
    rotary="position_embeddings",
)

TABLE: Mapping[str, BlockNames] = {
    "open_clip.transformer.ResidualAttentionBlock": _OPEN_CLIP,
    "open_clip.transformer.CustomResidualAttentionBlock": _OPEN_CLIP,
    "torchvision.models.vision_transformer.EncoderBlock": _TORCHVISION,
    "timm.models.vision_transformer.Block": _TIMM,
    "timm.models.eva.EvaBlock": _EVA,
    **{
        f"transformers.models.{folder}.modeling_{folder}.{name}": row
        for folder, name, row in (
            ("clip", "CLIPEncoderLayer", _CLIP),
            ("metaclip_2", "MetaClip2EncoderLayer", _CLIP),
            ("siglip", "SiglipEncoderLayer", _CLIP),
            ("siglip2", "Siglip2EncoderLayer", _CLIP),
            ("blip", "BlipEncoderLayer", _BLIP),
            ("vit", "ViTLayer", _VIT),
            ("deit", "DeiTLayer", _VIT),
            ("dinov2", "Dinov2Layer", _DINO),
            ("dinov2_with_registers", "Dinov2WithRegistersLayer", _DINO),
            ("dinov3_vit", "DINOv3ViTLayer", _DINO_3),
        )
    },
}
"""Names of the parts, by module and name of the class of a block."""


@dataclass(frozen=True)
class BlockCall:
    """What a tower gave one of its blocks on a pass.

    Attributes:
        x: the tokens, (batch, tokens, width).
        mask: the attention mask, or None.
        extra: what else it was given by keyword.
    """

    x: Tensor
    mask: Tensor | None
    extra: Mapping[str, Any]


def row_of(module: nn.Module) -> BlockNames | None:
    """The row of a block: that of its class, else the one of most names that the block has."""
    for cls in type(module).__mro__:
        row = TABLE.get(f"{cls.__module__}.{cls.__qualname__}")
        if row is not None:
            return row
    fitting = [row for row in TABLE.values() if not _missing(module, row)]
    return max(fitting, key=lambda row: _count(module, row), default=None)


def why_not(module: nn.Module) -> str | None:
    """Why a block has no view, or None where it has one."""
    name, row = f"{type(module).__module__}.{type(module).__qualname__}", row_of(module)
    if row is None:
        return f"{name} is no class of the table of blocks, nor are its parts named as in one"
    missing = _missing(module, row)
    if missing:
        return f"{name} lacks {', '.join(missing)}, which the table of blocks expects"
    return _misfit(module, row, name)


def block_view(
    module: nn.Module,
    tower: TowerName,
    index: int,
    path: str,
    extra: Mapping[str, Any] | None = None,
) -> Block | None:
    """View a block by the table.

    Args:
        module: the block.
        tower: the tower that it belongs to.
        index: its place in the tower, from 0.
        path: its dotted name in the model.
        extra: what the tower gives it beside tokens and mask, see `call_of`.

    Returns:
        The view, or None for the reason that `why_not` gives.
    """
    row = row_of(module)
    if row is None or why_not(module) is not None:
        return None
    return Block(tower, index, path, module, row, extra or {})


def call_of(module: nn.Module, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> BlockCall:
    """Tell apart what a block was called with, as a forward hook with keywords sees it.

    Args:
        module: a block that has a view.
        args: positional arguments of the call.
        keywords: keyword arguments of the call.

    Raises:
        TypeError: the block has no view.
    """
    row = row_of(module)
    if row is None:
        raise TypeError(f"expected a block that has a view: {why_not(module)}")
    signature = inspect.signature(module.forward)
    bound = signature.bind(*args, **keywords).arguments
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound.update(bound.pop(name, {}))
    x = bound.pop(next(iter(signature.parameters)))
    mask = bound.pop(row.mask, None)
    if not getattr(found(module, row.attention), "batch_first", True):
        x = x.transpose(0, 1)
    return BlockCall(x, mask, {n: v for n, v in bound.items() if v is not None})


def _missing(module: nn.Module, row: BlockNames) -> list[str]:
    missing = [name for name in row.required if found(module, name) is None]
    return missing if qkv_of(module, row) else [*missing, row.qkv[0].weights[0]]


def _count(module: nn.Module, row: BlockNames) -> int:
    return sum(found(module, name) is not None for name in row.optional)


def _misfit(module: nn.Module, row: BlockNames, name: str) -> str | None:
    """Sizes that do not go together."""
    heads, qkv = int(found(module, row.heads)), qkv_of(module, row)
    out = found(module, row.projection).weight
    rows = [len(found(module, weight)) for weight in qkv.weights] if qkv else []
    width = int(out.shape[1])
    if rows not in ([width] * 3, [3 * width]) or width % heads:
        return (
            f"{name} has {heads} heads, projections to queries, keys and values of {rows} channels "
            f"and an output projection of {width}; expected as many heads of keys as of queries"
        )
    return None
