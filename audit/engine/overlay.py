"""The maps of your own picture and texts, side by side: as a picture, or as a page."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from audit.config.settings import Settings
from audit.data.errors import DataError
from audit.engine import supervision
from audit.engine.class_visualization import visualized
from audit.engine.drawn_rows import DrawnRow, drawn_rows
from audit.engine.map_panels import Panel, PanelRow, figure, fitted, row_picture
from audit.engine.map_request import MapRequest
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.reports.html import render_page
from audit.version import __version__

JOB = "audit.engine.overlay:overlay"
SUFFIXES = (".png", ".html")


def write_overlay(
    request: MapRequest, out: Path, model_settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """Explain pairs and write pictures and maps side by side, as PNG or as an offline page.

    Explainers run in a process of their own; this one writes the file.

    Args:
        request: what to draw.
        out: the file; its ending says which of the two.
        model_settings: as `load_model` takes them.

    Returns:
        What is to be said: of each text the model's score, of a grid the share of the map's
        positive relevance in the first cell, of a text map the relevance of each word, of a joined
        text how far its map is the sum of the others, and of several explainers how alike they are.

    Raises:
        DataError: a request that cannot be met.
        ReportedError: what that process raised, such as for an unreadable picture.
        WorkerEndedError: it ended without a result.
        OSError: the file cannot be written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise DataError(f"--out: expected a name that ends in .png or .html, got '{out}'")
    request, target = request.checked(), out.resolve()
    given = {"request": dataclasses.asdict(request), "model_settings": dict(model_settings)}
    limits = supervision.Limits(Settings.model_validate({}).timeout)
    found = supervision.supervised(Job(JOB, given), limits, silent)
    rows = [{**row, "png": base64.b64decode(row["png"])} for row in found["rows"]]
    if out.suffix.lower() == ".html":
        page = _page(request, rows, tuple(found["said"]))
        target.write_text(page, encoding="utf-8")
    else:
        target.write_bytes(_stacked([row["png"] for row in rows]))
    return tuple(found["said"])


def overlay(
    request: dict[str, Any], model_settings: Mapping[str, Any], board: StatusBoard
) -> dict[str, Any]:
    """The same in the worker process: a picture in base64 for each row, and what is to be said.

    Raises:
        ValueError: unknown names, unreadable picture (subclasses say which).
    """
    board.enter("drawing maps")
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in request.items()
    }
    asked = MapRequest(**plain)
    rows, said = drawn_rows(asked, _model(model_settings))
    return {"rows": [_plain(row) for row in rows], "said": said}


def write_visualization(
    texts: Sequence[str],
    out: Path,
    model_settings: Mapping[str, Any],
    *,
    steps: int,
    decay: float,
) -> tuple[str, ...]:
    """Write the pictures that a model scores highest for some texts, and say their scores.

    Args:
        texts: a picture each.
        out: a PNG file.
        model_settings: as `load_model` takes them.
        steps: of ascent.
        decay: weight of a picture's squared length against the logit.

    Raises:
        DataError: another ending, no step, or a decay that is not positive.
        OSError: the file cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise DataError(f"--out: expected a name that ends in .png with --visualize, got '{out}'")
    target = out.resolve()
    model = _model(model_settings)
    panels, said = [], []
    for text, wanted in zip(texts, model.encode(list(texts)), strict=True):
        found = visualized(model, wanted, steps=steps, decay=decay)
        pixels = model.restore_colors(found.image.float().cpu()).clamp(0, 1) * 255
        shown = Image.fromarray(pixels.round().to(torch.uint8).permute(1, 2, 0).numpy())
        score = f"{model.score_name} {found.score:.4f}, of the mean color {found.start:.4f}"
        panels.append(Panel(text, fitted(shown), below=score))
        said.append(f"{text}: {score}")
    row_picture(PanelRow("scored highest", tuple(panels))).save(target, "PNG")
    return tuple(said)


def _model(model_settings: Mapping[str, Any]) -> ModelUnderAudit:
    settings = dict(model_settings)
    name, pretrained = settings.pop("model", "bundled"), settings.pop("pretrained", None)
    return load_model(name, pretrained, **settings)


def _plain(row: DrawnRow) -> dict[str, str]:
    png = io.BytesIO()
    row_picture(row.panels).save(png, "PNG")
    return {
        "heading": row.panels.heading,
        "said": row.said,
        "png": base64.b64encode(png.getvalue()).decode(),
    }


def _stacked(pngs: list[bytes]) -> bytes:
    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    written = io.BytesIO()
    figure(pictures).save(written, "PNG")
    return written.getvalue()


def _page(request: MapRequest, rows: list[dict[str, Any]], said: tuple[str, ...]) -> str:
    shown = [{**row, "png": base64.b64encode(row["png"]).decode()} for row in rows]
    return render_page(
        "map.html.j2",
        styles=("report.css",),
        request=request,
        rows=shown,
        said=said,
        version=__version__,
        started="",
    )
