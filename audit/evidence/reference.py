"""Gathers the unmodified model's own scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.kinds import Reference
from audit.metrics.localization import mask_on_grid
from audit.models.anatomy import anatomy_of


@torch.no_grad()
def class_scores(context: Context, module: nn.Module) -> Float[Tensor, "pictures classes"]:
    """Cosine of every picture with every class prompt, on the CPU."""
    anatomy = anatomy_of(module)
    device, dtype = context.model.device, context.model.dtype
    texts = anatomy.text_features(context.pairs.tokens.to(device))
    parts = [
        (anatomy.image_features(images.to(device=device, dtype=dtype)) @ texts.T).cpu()
        for images in context.pairs.images.split(context.batch_size())
    ]
    return torch.cat(parts)


def gather_reference(context: Context) -> Reference:
    """The model's answers on all pictures and classes."""
    pairs, anatomy = context.pairs, context.model.anatomy
    masks = None if pairs.masks is None else mask_on_grid(pairs.masks, context.grid).numpy()
    return Reference(
        ids=pairs.ids,
        texts=tuple(pairs.text(i) for i in range(len(pairs))),
        classes=pairs.classes,
        picture=pairs.picture.numpy(),
        labels=pairs.labels.numpy(),
        present=pairs.present.numpy(),
        cosine=class_scores(context, context.pristine).double().numpy(),
        masks=masks,
        image_blocks=len(anatomy.image.blocks),
        text_blocks=len(anatomy.text.blocks),
        image_grid=anatomy.image.grid,
    )
