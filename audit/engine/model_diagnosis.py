"""What ``audit doctor`` says of a model: is it loaded rightly, how deep is it known, its costs.

Every line is a fact of this model on this machine; nothing is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from audit.data.grids import cell_masks
from audit.engine.peak_memory import peak_memory
from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.model_needs import ANY_SIZE, TEXT, lacking
from audit.explainers.registry import load_explainer
from audit.metrics.localization import mask_on_grid
from audit.models.anatomy import UnknownAnatomyError
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.result.wording import counted

_SIZE = (320, 240)
_BOX = (80, 60, 239, 179)  # the middle half of the picture on either side
_TEXT = "a photo of a cat."
_WIDTH = 14


def diagnosis(
    name: str, pretrained: str | None, settings: Mapping[str, Any], *, grid: int = 0
) -> Iterator[str]:
    """Lines about a model, in the order in which they are found out.

    Args:
        name: of the model, and its weights, as `load_model` takes them.
        pretrained: likewise.
        settings: what else `load_model` takes.
        grid: pictures on either side of a grid that is to be composed for it, 0 for none.

    Raises:
        ModelError: it cannot be loaded.
    """
    started = time.perf_counter()
    model = load_model(name, pretrained, **settings)
    yield from _of_weights(model, time.perf_counter() - started)
    yield from _of_inside(model)
    yield from _of_pictures(model)
    if grid:
        yield from _of_grids(model, grid)
    yield from _of_one_pair(model)


def _of_weights(model: ModelUnderAudit, seconds: float) -> Iterator[str]:
    parameters = sum(p.numel() for p in model.module.parameters())
    held = sum(t.numel() * t.element_size() for t in model.module.state_dict().values())
    weights = "its own weights" if model.pretrained is None else f"weights '{model.pretrained}'"
    yield _line("model", f"{model.name} with {weights}, {type(model.module).__name__}")
    yield _line(
        "size",
        f"{parameters:,} parameters, {held / 2**20:,.0f} MiB in {model.dtype_name} on "
        f"{model.device}, loaded in {seconds:.1f} s",
    )
    yield from (_line("note", note) for note in model.notes)


def _of_inside(model: ModelUnderAudit) -> Iterator[str]:
    try:
        anatomy = model.require_anatomy()
    except UnknownAnatomyError as error:
        yield _line("inside", f"not known: {error}")
        yield _line(
            "",
            "the audit goes on without it; what reads attention, removes heads or patches tokens "
            "is not applicable",
        )
    else:
        towers = [("image", anatomy.image)]
        towers += [("text", anatomy.text_tower)] if anatomy.text_tower is not None else []
        known = ", ".join(f"{len(t.blocks)} {n} blocks of {t.heads} heads" for n, t in towers)
        yield _line("inside", f"full anatomy: {known}")
        if anatomy.text_tower is None and model.uses_templates:
            yield _line("", "the text tower is computed as a whole, its blocks are not known")
        lacks = lacking(model).items()
        yield from (_line("", f"but {why}") for need, why in lacks if need not in (ANY_SIZE, TEXT))
    rows, columns = model.patch_grid
    yield _line("maps", f"are compared on {rows}×{columns} cells of {model.image_size} pixels")


def _of_pictures(model: ModelUnderAudit) -> Iterator[str]:
    """Preprocessing, tried on a drawn picture and the mask of the box in its middle."""
    picture, mask = _drawn()
    image = model.preprocess(picture)
    low, high = float(image.min()), float(image.max())
    yield _line(
        "preprocessing",
        f"{_SIZE[0]}×{_SIZE[1]} pixels become {tuple(image.shape)}, values {low:.2f} to {high:.2f}",
    )
    colors = model.restore_colors(image)
    moved = model.preprocess_mask(mask)[0] > 0.5
    inside, outside = (float(colors[0][m].mean()) for m in (moved, ~moved))
    agrees = inside - outside > 0.25
    yield _line(
        "masks",
        f"a box on a quarter of the picture covers {float(moved.float().mean()):.0%} of the input"
        + ("" if agrees else "; it does NOT lie where the box lies: look at preprocess"),
    )


def _of_grids(model: ModelUnderAudit, n: int) -> Iterator[str]:
    """How much of each cell of a grid reaches the model, and whether patches cut cells."""
    masks = cell_masks(model, n)
    side = masks.shape[-1]
    shares = mask_on_grid(masks, model.patch_grid)
    cut = int(((shares > 0) & (shares < 1)).any(0).sum())
    least = float(masks.flatten(1).sum(1).min()) / side**2
    yield _line(
        "grid",
        f"{n}×{n} pictures of {side // n} px a side in the input, {least:.1%} of it for the "
        f"smallest cell; {cut} of {shares[0].numel()} patches lie in several cells",
    )


def _of_one_pair(model: ModelUnderAudit) -> Iterator[str]:
    images = model.preprocess(_drawn()[0])[None].to(model.device, model.dtype)
    text = _TEXT if model.uses_templates else str(_first_class(model))
    targets = model.encode([text]).to(model.device)
    with torch.no_grad():
        score = float(model.score(images, targets))
        seconds = _timed(lambda: model.score(images, targets))
    yield _line("score", f"{model.score_name} {score:.4f} of the drawn picture with '{text}'")
    threads = torch.get_num_threads()
    yield _line(
        "time", f"{seconds * 1e3:,.0f} ms for one picture, with {counted(threads, 'thread')}"
    )
    try:
        explainer = bound(load_explainer("gradient"), model, targets)
        found = run_explainer(explainer, model.module, images, targets)
        spent = _timed(lambda: run_explainer(explainer, model.module, images, targets))
    except Exception as error:  # noqa: BLE001 - of any library's model; the rest is told all the same
        yield _line("gradient", f"does not work here: {type(error).__name__}: {error}")
    else:
        shape = "×".join(str(side) for side in found.maps.shape[1:])
        yield _line("gradient", f"gives a map of {shape} in {spent * 1e3:,.0f} ms")
        if found.scores is not None and abs(float(found.scores[0]) - score) > 1e-3 * abs(score):
            yield _line("", f"but explains {float(found.scores[0]):.4f}, another score")
    yield _line("memory", f"{peak_memory() / 2**30:.1f} GiB at most so far")
    yield _line("an audit", "'audit plan' measures what one would take")


def _first_class(model: ModelUnderAudit) -> object:
    """A class that every model with a class head has."""
    classes: Any = model.interface.configuration().get("classes", ("0",))
    return classes[0]


def _drawn() -> tuple[Image.Image, Image.Image]:
    """A bright box on dark noise, and its mask."""
    noise = np.random.default_rng(0).integers(0, 64, (_SIZE[1], _SIZE[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    ImageDraw.Draw(picture).rectangle(_BOX, fill=(230, 210, 190))
    mask = Image.new("L", _SIZE)
    ImageDraw.Draw(mask).rectangle(_BOX, fill=255)
    return picture, mask


def _timed(run: Callable[[], object]) -> float:
    """Seconds of the quicker one of two runs."""
    spent = []
    for _ in range(2):
        started = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - started)
    return min(spent)


def _line(what: str, text: str) -> str:
    return f"{what:<{_WIDTH}} {text}"
