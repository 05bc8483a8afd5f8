"""Overlay pictures: the map of your own picture and text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audit.config.settings import Settings
from audit.data.errors import DataError
from audit.data.grid_layout import composed, squared
from audit.data.grids import cell_masks, input_side
from audit.data.picture_files import in_parallel, open_picture
from audit.data.upright import PictureError
from audit.engine import supervision
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.text_overlay import Word, caption, in_numbers, words_of
from audit.engine.worker_process import Job
from audit.explainers.binding import bound
from audit.explainers.contract import Explainer, Explanation, run_explainer
from audit.explainers.errors import ExplainerSpecError
from audit.explainers.registry import load_explainer
from audit.metrics.localization import energy_in_mask, mask_on_grid
from audit.metrics.synergy import synergy_curve
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit

JOB = "audit.engine.overlay:overlay"
_SIDE = 448


def write_overlay(
    spec: str,
    options: Mapping[str, str],
    pictures: Sequence[Path],
    text: str,
    out: Path,
    model_settings: Mapping[str, Any],
    *,
    grid: int = 1,
    text_map: bool = False,
) -> str:
    """Explain one pair and write picture and overlay side by side as PNG.

    The explainer runs in a process of its own; this one writes the file.

    Args:
        spec: of the explainer.
        options: of the explainer.
        pictures: one, or as many as a grid has cells, in the order of its rows; the text is of the
            first.
        text: whose score is explained.
        out: the file.
        model_settings: as `load_model` takes them.
        grid: cells on either side.
        text_map: draw the text below, its words colored by the map of its tokens.

    Returns:
        What is to be said of the pair: the model's score, of a grid the share of the map's positive
        relevance that lies in the first cell, and of a text map the relevance of each word.

    Raises:
        ReportedError: what that process raised, such as for an unreadable picture.
        WorkerEndedError: it ended without a result.
        OSError: the file cannot be written.
    """
    target = out.resolve()
    given = {
        "spec": spec,
        "options": dict(options),
        "pictures": [str(one) for one in pictures],
        "text": text,
        "model_settings": dict(model_settings),
        "grid": grid,
        "text_map": text_map,
    }
    limits = supervision.Limits(Settings.model_validate({}).timeout)
    found = supervision.supervised(Job(JOB, given), limits, silent)
    target.write_bytes(base64.b64decode(found["png"]))
    return str(found["said"])


def overlay(
    spec: str,
    options: Mapping[str, str],
    pictures: Sequence[str],
    text: str,
    model_settings: Mapping[str, Any],
    grid: int,
    text_map: bool,  # noqa: FBT001 - a job's arguments are given by name
    board: StatusBoard,
) -> dict[str, str]:
    """The same in the worker process: the PNG in base64, and what is to be said.

    Raises:
        ValueError: unknown names, unreadable picture (subclasses say which).
    """
    board.enter("drawing a map")
    explainer = load_explainer(spec, options)
    settings = dict(model_settings)
    name, pretrained = settings.pop("model", "bundled"), settings.pop("pretrained", None)
    model = load_model(name, pretrained, **settings)
    shown = _shown(pictures, grid, input_side(model))
    images = model.preprocess(shown)[None].to(model.device, model.dtype)
    targets = model.encode([text]).to(model.device)
    explainer = bound(explainer, model, targets)
    found = run_explainer(explainer, model.module, images, targets)
    drawn = found.maps.float().cpu()
    with torch.no_grad():
        said = f"{model.score_name} {float(model.score(images, targets)):.4f}"
    if grid > 1:
        cell = mask_on_grid(cell_masks(model, grid)[:1], (drawn.shape[1], drawn.shape[2]))
        share = float(energy_in_mask(drawn, cell))
        said += f", {share:.1%} of the positive relevance in the first cell (chance {grid**-2:.1%})"
    words: list[Word] = []
    if text_map:
        words = words_of(text, _token_map(explainer, found), model.encode)
        said += f"; {in_numbers(words)}{_synergy(model, images, targets, found)}"
    elif found.token_maps is not None:
        said += "; there is a map of the tokens, which --text-map shows"
    return {"png": _png(shown, drawn[0].numpy(), words), "said": said}


@torch.no_grad()
def _synergy(model: ModelUnderAudit, images: Tensor, targets: Tensor, found: Explanation) -> str:
    """What picture and text add to the score together, and how early the maps find it.

    Nothing where the ends of texts are not known.
    """
    tower = None if model.anatomy is None else model.anatomy.text
    if tower is None or found.token_maps is None:
        return ""
    place, end = torch.arange(targets.shape[1], device=targets.device), tower.pooled_index(targets)
    content = (place > 0) & (place < end[:, None])
    towers = (model.features, model.target_features)
    curve = synergy_curve(*towers, images, targets, found.maps, found.token_maps, content)
    whole, area = float(curve.values[0, -1]), float(curve.area[0])
    return (
        f"; synergy of picture and text {whole:.4f}, area by the most relevant of both {area:.4f}"
    )


def _token_map(explainer: Explainer, found: Explanation) -> Tensor:
    """The map of the tokens of the one pair.

    Raises:
        ExplainerSpecError: the explainer gives none.
    """
    if found.token_maps is None:
        raise ExplainerSpecError(
            f"explainer '{explainer.name}': expected token_maps for --text-map, found none; choose "
            "one that explains the tokens, such as text-gradient, text-game or token-removal"
        )
    return found.token_maps[0].float().cpu()


def _shown(pictures: Sequence[str], grid: int, side: int) -> Image.Image:
    """The picture, or the grid of several.

    Raises:
        DataError: another number of pictures than cells, or one that cannot be read.
    """
    if len(pictures) != grid**2:
        raise DataError(
            f"expected {grid**2} pictures for {f'--grid {grid}' if grid > 1 else 'one map'}, found "
            f"{len(pictures)}; repeat --image, the picture of the text first"
        )
    opened = []
    for name in pictures:
        try:
            opened += [one.picture for one in in_parallel([Path(name)], open_picture)]
        except PictureError as error:
            raise PictureError(f"'{name}': {error}") from error
    return opened[0] if grid == 1 else composed([squared(one, side) for one in opened], grid)


def _png(shown: Image.Image, maps: np.ndarray, words: Sequence[Word]) -> str:
    """Picture and overlay side by side, and a caption below, as PNG in base64.

    An even map, as of an explainer of texts, has no overlay.
    """
    base = np.asarray(shown.resize((_SIDE, _SIDE)), dtype=np.float64)
    span = float(np.ptp(maps))
    both = base
    if span or not words:
        heat = Image.fromarray(((maps - maps.min()) / (span or 1.0) * 255).astype(np.uint8))
        level = np.asarray(heat.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
        color = mpl.colormaps["viridis"](level)[..., :3] * 255
        both = np.concatenate([base, 0.4 * base + 0.6 * color], axis=1)
    drawn = both.astype(np.uint8)
    if words:
        drawn = np.concatenate([drawn, np.asarray(caption(words, drawn.shape[1]))])
    png = io.BytesIO()
    Image.fromarray(drawn).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()
