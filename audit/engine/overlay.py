"""Overlay pictures: the map of your own picture and text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image

from audit.data.picture_files import PictureError, open_picture
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model

_SIDE = 448


def write_overlay(
    spec: str,
    options: Mapping[str, str],
    picture: Path,
    text: str,
    out: Path,
    model_settings: Mapping[str, Any],
) -> float:
    """Explain one pair and write picture and overlay side by side as PNG.

    Returns:
        The model's cosine of the pair.

    Raises:
        ValueError: unknown names, unreadable picture (subclasses say which).
    """
    explainer = load_explainer(spec, options)
    settings = dict(model_settings)
    name, pretrained = settings.pop("model", "bundled"), settings.pop("pretrained", None)
    model = load_model(name, pretrained, **settings)
    try:
        shown = open_picture(picture)
    except PictureError as error:
        raise PictureError(f"'{picture}': {error}") from error
    images = model.preprocess(shown)[None].to(model.device, model.dtype)
    targets = model.encode([text]).to(model.device)
    maps = run_explainer(explainer, model.module, images, targets).maps[0].float().cpu().numpy()
    with torch.no_grad():
        score = float(model.score(images, targets))
    base = np.asarray(shown.resize((_SIDE, _SIDE)), dtype=np.float64)
    span = float(np.ptp(maps)) or 1.0
    heat = Image.fromarray(((maps - maps.min()) / span * 255).astype(np.uint8))
    level = np.asarray(heat.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    color = mpl.colormaps["viridis"](level)[..., :3] * 255
    both = np.concatenate([base, 0.4 * base + 0.6 * color], axis=1).astype(np.uint8)
    Image.fromarray(both).save(out, "PNG")
    return score
