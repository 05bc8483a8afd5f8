"""Gathers the quality of the maps by measures that ask the model, or the explainer, for more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context, on_grid
from audit.evidence.explanations import maps_in_single
from audit.evidence.kinds import Explanations, MapQuality
from audit.evidence.map_faithfulness import probed_pairs
from audit.evidence.reference import class_features
from audit.explainers.contract import Explainer, run_explainer
from audit.metrics.adversarial import STEPS
from audit.metrics.infidelity import SAMPLES
from audit.metrics.probing import FAMILIES, Color, Probe
from audit.metrics.quality_choice import families_of
from audit.metrics.quality_table import MEASURES
from audit.models.model_under_audit import ModelUnderAudit
from audit.trace.records import Array

SHARED_PASSES = {"subsets": SAMPLES + 1, "aim": 2 * STEPS}
"""By family, passes for each pair that serve all maps: done once, before any of them."""


@dataclass(frozen=True)
class Measured:
    """What one family of measures says of one explainer's maps.

    Attributes:
        values: by measure, (probed pairs,).
        passes: of the model for these maps alone.
        explanations: pictures that the explainer was run on anew.
    """

    values: dict[str, Array]
    passes: int
    explanations: int


class Counted:
    """A function of pictures that counts them while it is told to."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self.pictures = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        """The function's value."""
        self.pictures += len(pictures)
        return self.function(pictures)


def gather_map_quality(context: Context, explanations: Explanations) -> MapQuality:
    """Measure some pairs' maps by every family of measures that was asked for.

    The pairs are those of which faithfulness is measured. Each family and explainer is a task of
    its own that depends on the seed alone.
    """
    chosen = probed_pairs(context)
    few = dataclasses.replace(context, pairs=context.pairs.select(chosen))
    maps = maps_in_single(explanations, explanations.maps)
    features = Counted(context.pristine_model.features)
    probe = probe_of(few, features)
    families, values = families_of(context.quality), dict[str, dict[str, Array]]()
    titles = {one.name: one.title for one in context.quality}
    passes = {name: SHARED_PASSES.get(name, 0) * len(chosen) for name in families}
    if "subsets" in families:
        probe.drops  # noqa: B018 - shared by all maps, so counted for none, and no fork repeats it
    if "aim" in families:
        probe.counterpart  # noqa: B018 - likewise
    explained = dict.fromkeys(families, 0)
    found: dict[str, Measured] = {}
    for of_model in (True, False):
        tasks = {
            _task(family, name): partial(_measured, few, probe, features, family, name, one[chosen])
            for name, one in maps.items()
            for family in families
            if context.is_of_model(name) is of_model
        }
        told = partial(_told, context, len(found), len(maps) * len(families))
        measured = context.tasks.all_kept(Measured, tasks, told, of_model=of_model)
        found |= zip(tasks, measured, strict=True)
    for name in maps:
        for family in families:
            result = found[_task(family, name)]
            own = {titles[m]: v for m, v in result.values.items() if m in titles}
            values[name] = values.get(name, {}) | own
            passes[family] += result.passes
            explained[family] += result.explanations
    return MapQuality(torch.tensor(chosen).numpy(), values, passes, explained)


def _task(family: str, name: str) -> str:
    """Of a family that asks the explainer the name of a task of its own cost."""
    asks = any(one.needs == "explanations" for one in MEASURES if one.family == family)
    return f"{family} of {name}" if asks else f"{family}, of {name}"


def _told(context: Context, before: int, total: int, done: int) -> None:
    context.progress("map quality", before + done, total)


def probe_of(few: Context, features: Callable[[Tensor], Tensor]) -> Probe:
    """What measures may ask about the pictures of some pairs.

    Args:
        few: the context of these pairs alone.
        features: of the unmodified model.
    """
    model, device = few.pristine_model, few.model.device
    images, targets = few.pairs.batch(torch.arange(len(few.pairs)), device, few.model.dtype)
    with torch.no_grad():
        texts, classes = model.target_features(targets), class_features(few, model)
    labels = few.pairs.labels.to(device)
    present = few.pairs.present.to(device)[few.pairs.picture.to(device)]

    def score(pictures: Tensor, pair: Int[Tensor, " m"]) -> Tensor:
        return (features(pictures) * texts[pair]).sum(-1)

    def probability(pictures: Tensor, pair: Int[Tensor, " m"]) -> Tensor:
        logits = model.logit_scale * (features(pictures) @ classes.T)
        return logits.softmax(-1).gather(-1, labels[pair][:, None])[:, 0]

    def right(pictures: Tensor, pair: Int[Tensor, " m"]) -> Tensor:
        scores = features(pictures) @ classes.T
        own = scores.gather(-1, labels[pair][:, None])[:, 0]
        best = scores.masked_fill(present[pair], -torch.inf).amax(-1)
        return (own > best).to(scores)

    mean, std = color_scale(few.model, images[0])
    return Probe(
        score=score,
        probability=probability,
        right=right,
        images=images,
        grid=few.grid,
        mean=mean,
        std=std,
        seed=few.seed,
        batch_size=few.batch_size(),
    )


def color_scale(model: ModelUnderAudit, image: Float[Tensor, "3 H W"]) -> tuple[Color, Color]:
    """Mean and standard deviation by which pixels in [0, 1] are normalized, per channel.

    Read off what the model gives back for two colors; 0 and 1 where that is no linear change.
    """
    black, white = (
        model.restore_colors(torch.full_like(image, level, device="cpu", dtype=torch.float32))
        .double()
        .mean((1, 2))
        for level in (0.0, 1.0)
    )
    std = white - black
    if not bool((std > 0).all()) or not bool(std.isfinite().all()):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return cast("tuple[Color, Color]", (tuple(black.tolist()), tuple(std.tolist())))


def _measured(
    few: Context,
    probe: Probe,
    features: Counted,
    family: str,
    name: str,
    maps: Float[Tensor, "n h w"],
) -> Measured:
    """One family of measures of one explainer's maps."""
    explainer = few.explainers[name]
    own = [one for one in MEASURES if one.family == family]
    if explainer.saved and any(one.needs == "explanations" for one in own):
        return Measured({one.name: np.full(len(maps), np.nan) for one in own}, 0, 0)
    explain = Counted(partial(_explained, few, explainer))
    features.pictures = 0
    found = FAMILIES[family](probe, maps.to(probe.images), explain)
    values = {measure: v.double().cpu().numpy() for measure, v in found.items()}
    return Measured(values, features.pictures, explain.pictures)


def _explained(few: Context, explainer: Explainer, images: Tensor) -> Tensor:
    """Maps of altered pictures of the pairs, on the patch grid."""

    def work(module: nn.Module) -> Tensor:
        parts = []
        for rows in few.batches(len(few.pairs)):
            _, targets = few.pairs.batch(rows, few.model.device, few.model.dtype)
            found = run_explainer(explainer, module, images[rows], targets)
            parts.append(on_grid(found.maps, few.grid))
        return torch.cat(parts)

    return few.guarded(work)
