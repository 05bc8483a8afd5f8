"""Explains pairs for ``audit map`` and lays their maps out, a row a text."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from audit.data.grid_layout import composed, squared
from audit.data.grids import cell_masks, input_side
from audit.data.mask_files import moved_mask, object_in
from audit.data.picture_files import in_parallel, open_picture
from audit.data.upright import OpenedPicture, PictureError
from audit.engine.map_panels import Panel, PanelRow, boxed, fitted, map_panel
from audit.engine.map_request import MapRequest
from audit.engine.outlined_object import outlined, overlaps
from audit.engine.seen_region import Region, seen_region
from audit.engine.text_overlay import caption, in_numbers, words_of
from audit.explainers.binding import bound
from audit.explainers.contract import Explainer, Explanation, run_explainer
from audit.explainers.errors import ExplainerSpecError
from audit.explainers.registry import load_explainer
from audit.metrics.composition import decomposed, disagreement
from audit.metrics.localization import energy_in_mask, mask_on_grid
from audit.metrics.similarity import spearman
from audit.metrics.synergy import synergy_curve
from audit.models.model_under_audit import ModelUnderAudit

_WIDTH = 896  # of a caption
_TINT = (30, 160, 80)


@dataclass(frozen=True)
class DrawnRow:
    """A row, and what is to be said of it beside what stands in it."""

    panels: PanelRow
    said: str


@dataclass(frozen=True)
class _Scene:
    """What all rows share.

    Attributes:
        request: what to draw.
        model: that is explained.
        shown: the picture, or the grid of several.
        region: what of it the model sees.
        images: it, as the model receives it, (1, 3, H, W).
        mask: where the object is known to be; None where nobody says.
    """

    request: MapRequest
    model: ModelUnderAudit
    shown: Image.Image
    region: Region
    images: Tensor
    mask: Bool[np.ndarray, "h w"] | None


Explained = Mapping[str, Explanation]


def drawn_rows(request: MapRequest, model: ModelUnderAudit) -> tuple[list[DrawnRow], list[str]]:
    """The rows of all texts, and sentences for a terminal.

    Raises:
        ValueError: unknown names, unreadable picture (subclasses say which).
    """
    scene = _scene(request, model)
    texts = [*request.texts]
    if request.compose and request.whole not in texts:
        texts.append(request.whole)
    classes = model.encode(texts).to(model.device)
    explainers = {
        spec: bound(load_explainer(spec, request.options), model, classes)
        for spec in request.explainers
    }
    found: dict[str, Explained] = {}
    rows, said = [], []
    for text, target in zip(texts, classes.split(1), strict=True):
        found[text] = {
            spec: run_explainer(one, model.module, scene.images, target)
            for spec, one in explainers.items()
        }
        rows.append(_row(scene, text, target, found[text], explainers))
        named = f"{text}: " if len(texts) > 1 else ""
        said.append(f"{named}{rows[-1].said}")
    if request.compose:
        joined = _composition(scene, found)
        rows.append(joined)
        said.append(joined.said)
    return rows, said


def _scene(request: MapRequest, model: ModelUnderAudit) -> _Scene:
    opened = _opened(request.pictures)
    side, first = input_side(model), opened[0]
    shown = first.picture
    if request.grid > 1:
        shown = composed([squared(one.picture, side) for one in opened], request.grid)
    mask = None
    if request.mask:
        with Image.open(request.mask) as stored:
            mask = np.asarray(moved_mask(object_in(stored), first)) > 0
    images = model.preprocess(shown)[None].to(model.device, model.dtype)
    return _Scene(request, model, shown, seen_region(model, shown.size), images, mask)


def _opened(pictures: Sequence[str]) -> list[OpenedPicture]:
    found: list[OpenedPicture] = []
    for name in pictures:
        try:
            found += in_parallel([Path(name)], open_picture)
        except PictureError as error:
            raise PictureError(f"'{name}': {error}") from error
    return found


def _row(
    scene: _Scene,
    text: str,
    target: Tensor,
    found: Explained,
    explainers: Mapping[str, Explainer],
) -> DrawnRow:
    """Picture and maps of one text."""
    model = scene.model
    with torch.no_grad():
        said = f"{model.score_name} {float(model.score(scene.images, target)):.4f}"
    heading = f"{text}  ({said})"
    panels, captions, lines = [Panel("picture", fitted(scene.shown))], [], [said]
    maps = {spec: one.maps[0].float().cpu() for spec, one in found.items()}
    telling = {spec: one for spec, one in maps.items() if float(one.max()) > float(one.min())}
    for spec, values in telling.items():
        panels.append(map_panel(spec, scene.shown, values.numpy(), scene.region))
        lines += _share_of_first_cell(scene, spec, values)
        if scene.request.segment:
            panel, object_said = _object(scene, spec, values)
            panels.append(panel)
            lines.append(object_said)
    if len(telling) > 1:
        panel, more = _disagreement(scene, telling)
        panels.append(panel)
        lines += more
    for spec, one in found.items():
        if scene.request.text_map:
            words = words_of(text, _token_map(explainers[spec], one), model.encode)
            captions.append(caption(words, max(_WIDTH, 448 * len(panels))))
            lines.append(f"; {in_numbers(words)}{_synergy(model, scene.images, target, one)}")
        elif one.token_maps is not None:
            lines.append("; there is a map of the tokens, which --text-map shows")
    if len(telling) < len(maps) and not scene.request.text_map and len(maps) > 1:
        lines.append("; a map that is even is left out")
    return DrawnRow(PanelRow(heading, tuple(panels), tuple(captions)), "".join(lines))


def _named(scene: _Scene, spec: str) -> str:
    """The explainer's name, where there are several."""
    return f"{spec} " if len(scene.request.explainers) > 1 else ""


def _share_of_first_cell(scene: _Scene, spec: str, values: Tensor) -> list[str]:
    """On a grid, how much of the map lies on the picture of the text."""
    grid = scene.request.grid
    if grid == 1:
        return []
    cell = mask_on_grid(cell_masks(scene.model, grid)[:1], (values.shape[0], values.shape[1]))
    share = float(energy_in_mask(values[None], cell))
    where = f"of the positive relevance in the first cell (chance {grid**-2:.1%})"
    return [f", {_named(scene, spec)}{share:.1%} {where}"]


def _object(scene: _Scene, spec: str, values: Tensor) -> tuple[Panel, str]:
    """The object that a map outlines, its box, and how they agree with the mask."""
    found = outlined(scene.shown, values.numpy(), scene.region)
    below = f"object {float(found.mask.mean()):.0%} of the picture"
    if found.box is not None:
        below += f", box {', '.join(map(str, found.box))}"
    if scene.mask is not None:
        mask, box = overlaps(found, scene.mask)
        below += f", mask IoU {mask:.3f}, box IoU {box:.3f}"
    tinted = scene.shown.convert("RGB")
    tint = Image.new("RGB", tinted.size, _TINT)
    tinted = Image.composite(Image.blend(tinted, tint, 0.5), tinted, Image.fromarray(found.mask))
    panel = Panel(f"{spec}: object", fitted(tinted), below=below)
    if found.box is not None:
        panel = boxed(panel, found.box, scene.shown.size)
    return panel, f"; {_named(scene, spec)}{below}"


def _disagreement(scene: _Scene, maps: Mapping[str, Tensor]) -> tuple[Panel, list[str]]:
    """Where explainers rank places differently, on the finest grid of their maps."""
    shape = max((tuple(one.shape) for one in maps.values()), key=lambda s: s[0] * s[1])
    same = torch.stack([_resized(one, (shape[0], shape[1])) for one in maps.values()])
    spread = disagreement(same)
    ranks = [
        f"{a} and {b} {float(spearman(x[None], y[None])):.2f}"
        for (a, x), (b, y) in itertools.combinations(zip(maps, same, strict=True), 2)
    ]
    panel = map_panel("disagreement of ranks", scene.shown, spread.numpy(), scene.region)
    return panel, [f"; rank correlation of {', '.join(ranks)}"]


def _resized(values: Tensor, shape: tuple[int, int]) -> Tensor:
    if tuple(values.shape) == shape:
        return values
    return torch.nn.functional.interpolate(
        values[None, None], shape, mode="bilinear", align_corners=False
    )[0, 0]


def _composition(scene: _Scene, found: Mapping[str, Explained]) -> DrawnRow:
    """What the joined text's map has beside the sum of the others', by explainer."""
    whole, parts = scene.request.whole, scene.request.parts
    panels, said = [], []
    for spec in scene.request.explainers:
        own = found[whole][spec].maps[0].float().cpu()
        made = decomposed(own, [found[part][spec].maps[0].float().cpu() for part in parts])
        total = " + ".join(f"{w:.2f} {p}" for w, p in zip(made.weights, parts, strict=True))
        below = f"{total}: {made.explained:.1%} explained"
        title = f"{spec}: what is left"
        panels.append(
            map_panel(title, scene.shown, made.rest.numpy(), scene.region, signed=True, below=below)
        )
        said.append(f"{spec} of '{whole}' is {below}")
    heading = f"what the map of '{whole}' has beside the sum of the others"
    return DrawnRow(PanelRow(heading, tuple(panels)), "; ".join(said))


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
