"""The pictures of a result: drawn as the model receives them, each once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audit.evidence.context import Context
from audit.evidence.kinds import Reference
from audit.result.schema import ShownPair
from audit.result.shown_pairs import picture_key

PICTURE_SIDE = 160


def pairs_with_pictures(
    shown: Iterable[str], reference: Reference | None, pngs: Mapping[str, str]
) -> tuple[dict[str, ShownPair], dict[str, str]]:
    """What is shown of each pair, and every picture once, by its key.

    Args:
        shown: ids of pairs; those that the evidence does not know are left out.
        reference: texts and masks of the pairs.
        pngs: the picture of each pair as PNG in base64; a pair may have none.
    """
    index = {} if reference is None else {pair: i for i, pair in enumerate(reference.ids)}
    pairs: dict[str, ShownPair] = {}
    pictures: dict[str, str] = {}
    for pair in shown:
        if reference is None or pair not in index:
            continue
        key = picture_key(pngs[pair]) if pair in pngs else None
        pictures |= {key: pngs[pair]} if key else {}
        masks = reference.masks
        mask = None if masks is None else np.asarray(masks[index[pair]]).tolist()
        pairs[pair] = ShownPair(text=reference.texts[index[pair]], picture=key, mask=mask)
    return pairs, pictures


def drawn_pictures(context: Context, shown: Iterable[str]) -> dict[str, str]:
    """The picture of each pair; one that several pairs share is drawn once."""
    index = {pair: i for i, pair in enumerate(context.pairs.ids)}
    picture = {pair: int(context.pairs.picture[index[pair]]) for pair in shown}
    pngs = {i: picture_png(context, context.pairs.images[i]) for i in set(picture.values())}
    return {pair: pngs[i] for pair, i in picture.items()}


def picture_png(context: Context, image: Tensor) -> str:
    """A picture as the model receives it, at most 160 pixels wide and high, PNG in base64.

    Args:
        context: of the audit, whose model says how its pictures are normalized.
        image: (3, H, W).
    """
    image = context.model.restore_colors(image)
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
