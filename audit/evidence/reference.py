"""Gathers the unmodified model's own scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from audit.evidence.context import Context
from audit.evidence.kinds import Reference
from audit.metrics.localization import mask_on_grid
from audit.models.anatomy import KnownTower, Tower
from audit.models.model_under_audit import ModelUnderAudit


@torch.no_grad()
def class_scores(
    context: Context, module: nn.Module, *, averaged: bool = True
) -> Float[Tensor, "pictures classes"]:
    """Score of every picture with every class, on the CPU.

    Args:
        context: with the pairs.
        module: the model's, or an altered copy.
        averaged: with the mean of a class over several templates, where the pairs have them; else
            with the target that a pair is explained for.
    """
    model = context.model.with_module(module)
    device, dtype = context.model.device, context.model.dtype
    texts = class_features(context, model, averaged=averaged)
    parts = [
        (model.features(images.to(device=device, dtype=dtype)) @ texts.T).cpu()
        for images in context.pairs.images.split(context.batch_size())
    ]
    return torch.cat(parts)


def class_features(
    context: Context, model: ModelUnderAudit, *, averaged: bool = True
) -> Float[Tensor, "classes feature"]:
    """The feature of each class: of its target, or the mean over templates at unit length."""
    device, every = context.model.device, context.pairs.averaged
    if every is None or not averaged:
        return model.target_features(context.pairs.targets.to(device))
    features = torch.stack([model.target_features(one.to(device)) for one in every])
    return functional.normalize(features.mean(0), dim=-1)


def gather_reference(context: Context) -> Reference:
    """The model's answers on all pictures and classes."""
    pairs, model = context.pairs, context.pristine_model
    anatomy = model.anatomy
    towers = (None, None) if anatomy is None else (anatomy.image, anatomy.text_tower)
    masks = None if pairs.masks is None else mask_on_grid(pairs.masks, context.grid).numpy()
    return Reference(
        ids=pairs.ids,
        texts=tuple(pairs.text(i) for i in range(len(pairs))),
        classes=pairs.classes,
        picture=pairs.picture.numpy(),
        labels=pairs.labels.numpy(),
        present=pairs.present.numpy(),
        scores=class_scores(context, context.pristine).double().numpy(),
        masks=masks,
        image_blocks=_numbered(towers[0]),
        text_blocks=_numbered(towers[1]),
        image_grid=model.patch_grid,
        sets=None if pairs.sets is None else pairs.sets.numpy(),
        score_name=getattr(model.interface, "score_name", "cosine"),
        balanced=pairs.balanced,
    )


def _numbered(tower: KnownTower | None) -> int:
    """How many blocks of a tower a trace knows by number; it knows steps of others by name."""
    return len(tower.blocks) if isinstance(tower, Tower) else 0
