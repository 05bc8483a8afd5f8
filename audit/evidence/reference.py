"""Gathers the unmodified model's own scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.kinds import Reference
from audit.metrics.localization import mask_on_grid


@torch.no_grad()
def class_scores(context: Context, module: nn.Module) -> Float[Tensor, "pictures classes"]:
    """Score of every picture with every class, on the CPU."""
    model = context.model.with_module(module)
    device, dtype = context.model.device, context.model.dtype
    texts = model.target_features(context.pairs.targets.to(device))
    parts = [
        (model.features(images.to(device=device, dtype=dtype)) @ texts.T).cpu()
        for images in context.pairs.images.split(context.batch_size())
    ]
    return torch.cat(parts)


def gather_reference(context: Context) -> Reference:
    """The model's answers on all pictures and classes."""
    pairs, model = context.pairs, context.pristine_model
    anatomy = model.anatomy
    text = None if anatomy is None else anatomy.text_tower
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
        image_blocks=0 if anatomy is None else len(anatomy.image.blocks),
        text_blocks=0 if text is None else len(text.blocks),
        image_grid=model.patch_grid,
        score_name=getattr(model.interface, "score_name", "cosine"),
        balanced=pairs.balanced,
    )
