"""Overlay pictures: the map of your own picture and text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image

from audit.config.settings import Settings
from audit.data.picture_files import PictureError, open_picture
from audit.engine import supervision
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job
from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model

JOB = "audit.engine.overlay:overlay"
_SIDE = 448


def write_overlay(
    spec: str,
    options: Mapping[str, str],
    picture: Path,
    text: str,
    out: Path,
    model_settings: Mapping[str, Any],
) -> tuple[float, str]:
    """Explain one pair and write picture and overlay side by side as PNG.

    The explainer runs in a process of its own; this one writes the file.

    Returns:
        The model's score of the pair, and what it is called.

    Raises:
        ReportedError: what that process raised, such as for an unreadable picture.
        WorkerEndedError: it ended without a result.
        OSError: the file cannot be written.
    """
    target = out.resolve()
    given = {
        "spec": spec,
        "options": dict(options),
        "picture": str(picture),
        "text": text,
        "model_settings": dict(model_settings),
    }
    limits = supervision.Limits(Settings.model_validate({}).timeout)
    found = supervision.supervised(Job(JOB, given), limits, silent)
    target.write_bytes(base64.b64decode(found["png"]))
    return float(found["score"]), str(found["score_name"])


def overlay(
    spec: str,
    options: Mapping[str, str],
    picture: str,
    text: str,
    model_settings: Mapping[str, Any],
    board: StatusBoard,
) -> dict[str, Any]:
    """The same in the worker process: the PNG in base64, the score and its name.

    Raises:
        ValueError: unknown names, unreadable picture (subclasses say which).
    """
    board.enter("drawing a map")
    explainer = load_explainer(spec, options)
    settings = dict(model_settings)
    name, pretrained = settings.pop("model", "bundled"), settings.pop("pretrained", None)
    model = load_model(name, pretrained, **settings)
    try:
        shown = open_picture(Path(picture))
    except PictureError as error:
        raise PictureError(f"'{picture}': {error}") from error
    images = model.preprocess(shown)[None].to(model.device, model.dtype)
    targets = model.encode([text]).to(model.device)
    explainer = bound(explainer, model, targets)
    maps = run_explainer(explainer, model.module, images, targets).maps[0].float().cpu().numpy()
    with torch.no_grad():
        score = float(model.score(images, targets))
    base = np.asarray(shown.resize((_SIDE, _SIDE)), dtype=np.float64)
    span = float(np.ptp(maps)) or 1.0
    heat = Image.fromarray(((maps - maps.min()) / span * 255).astype(np.uint8))
    level = np.asarray(heat.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    color = mpl.colormaps["viridis"](level)[..., :3] * 255
    both = np.concatenate([base, 0.4 * base + 0.6 * color], axis=1).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(both).save(png, "PNG")
    encoded = base64.b64encode(png.getvalue()).decode()
    return {"png": encoded, "score": score, "score_name": model.score_name}
