"""Pooling by attention: a learned query looks at all tokens, and what it gathers is the feature.

As with blocks a row of names says where a class of such modules keeps its parts, and the module
itself is asked whether that is all that it computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from audit.models.block_check import is_close
from audit.models.block_names import BlockNames, found
from audit.models.transformer_block import Block


@dataclass(frozen=True)
class PoolingNames:
    """Where a class of poolings keeps its parts, as dotted names within the module.

    Attributes:
        latent: the learned query before its projection, (1, 1, width).
        weights: of queries, keys and values, in this order, packed or not.
        biases: likewise.
        parts: of the rest.
    """

    latent: str
    weights: tuple[str, ...]
    biases: tuple[str, ...]
    parts: BlockNames


_TIMM = PoolingNames(
    latent="latent",
    weights=("q.weight", "kv.weight"),
    biases=("q.bias", "kv.bias"),
    parts=BlockNames(
        attention="",
        attention_norm="",
        qkv=(),
        projection="proj",
        heads="num_heads",
        mlp="mlp",
        mlp_norm="norm",
        mlp_first="mlp.fc1",
        mlp_activation="mlp.act",
        mlp_last="mlp.fc2",
        query_norm="q_norm",
        key_norm="k_norm",
        logit_scale="scale",
    ),
)
_SIGLIP = PoolingNames(
    latent="probe",
    weights=("attention.in_proj_weight",),
    biases=("attention.in_proj_bias",),
    parts=replace(
        _TIMM.parts,
        projection="attention.out_proj",
        heads="attention.num_heads",
        mlp_norm="layernorm",
        query_norm="",
        key_norm="",
        logit_scale="",
    ),
)
TABLE: Mapping[str, PoolingNames] = {
    "timm.layers.attention_pool.AttentionPoolLatent": _TIMM,
    **{
        f"transformers.models.{folder}.modeling_{folder}.{name}": _SIGLIP
        for folder, name in (
            ("siglip", "SiglipMultiheadAttentionPoolingHead"),
            ("siglip2", "Siglip2MultiheadAttentionPoolingHead"),
        )
    },
}
"""Names of the parts, by module and name of the class of a pooling."""


@dataclass(frozen=True)
class AttentionPooling:
    """A pooling by attention, computed with the model's own parameters.

    Attributes:
        path: its dotted name in the model.
        module: the pooling itself.
        names: of its parts.
    """

    path: str
    module: nn.Module
    names: PoolingNames

    @property
    def block(self) -> Block:
        """Its attention, whose math is that of a block's."""
        return Block("image", 0, self.path, self.module, self.names.parts)

    def makes_queries(self, params: frozenset[str]) -> bool:
        """Whether one of some parameters, by dotted name, makes its query, keys or values."""
        own = (self.names.latent, *self.names.weights, *self.names.biases)
        return not params.isdisjoint(f"{self.path}.{name}" for name in own)

    def qkv(
        self, tokens: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b 1 e"], Float[Tensor, "b t e"], Float[Tensor, "b t e"]]:
        """The query, and the keys and values of the tokens, heads side by side."""
        weights = [found(self.module, name) for name in self.names.weights]
        biases = [found(self.module, name) for name in self.names.biases]
        width = sum(len(w) for w in weights) // 3
        wq, wk, wv = (part for w in weights for part in w.split(width))
        bq, bk, bv = (
            part
            for w, b in zip(weights, biases, strict=True)
            for part in ([None] * (len(w) // width) if b is None else b.split(width))
        )
        latent = found(self.module, self.names.latent).expand(len(tokens), -1, -1)
        q, k = functional.linear(latent, wq, bq), functional.linear(tokens, wk, bk)
        parts, block = self.names.parts, self.block
        q, k = block.met(q, parts.query_norm), block.met(k, parts.key_norm)
        return q, k, functional.linear(tokens, wv, bv)

    def finish(self, projected: Float[Tensor, "b 1 d"]) -> Float[Tensor, "b d"]:
        """From the projected attention output to what the module gives."""
        part, names = self.block.part, self.names.parts
        pooled: Tensor = projected + part(names.mlp)(part(names.mlp_norm)(projected))
        return pooled[:, 0]

    def on(self, model: nn.Module) -> AttentionPooling:
        """The same of a copy of the model."""
        return replace(self, module=model.get_submodule(self.path))


@torch.no_grad()
def pooling_view(
    path: str, module: nn.Module, tokens: Float[Tensor, "b t d"]
) -> AttentionPooling | None:
    """View a pooling by the table.

    Args:
        path: its dotted name in the model.
        module: the pooling.
        tokens: what enters it.

    Returns:
        The view, or None where the module has no row or computes something else.
    """
    view = _named(path, module)
    if view is None:
        return None
    try:
        q, k, v = view.qkv(tokens)
        block = view.block
        made = view.finish(block.project(block.mix_values(block.attention(q, k), v)))
        own = module(tokens)
    except (RuntimeError, TypeError, ValueError, AttributeError):  # other parts than named
        return None
    return view if isinstance(own, Tensor) and is_close(made, own) else None


def has_row(module: nn.Module) -> bool:
    """Whether the table names the parts of a module."""
    return _row(module) is not None


def _row(module: nn.Module) -> PoolingNames | None:
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(module).__mro__)
    return next((TABLE[name] for name in names if name in TABLE), None)


def _named(path: str, module: nn.Module) -> AttentionPooling | None:
    row = _row(module)
    wanted = () if row is None else (row.latent, *row.weights, row.parts.mlp)
    if row is None or any(found(module, name) is None for name in wanted):
        return None
    return AttentionPooling(path, module, row)
