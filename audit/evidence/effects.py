"""Gathers what removing windows of patches does to the score, and which maps foresee it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.kinds import ExplainedTowers, Explanations, PatchEffects
from audit.evidence.token_effects import NULL_FACTOR, gather_token_effects
from audit.explainers.probed_features import batch_of
from audit.interventions.probing import (
    Probed,
    null_control,
    null_removal,
    occlude,
    patch_activations,
)
from audit.interventions.probing.neutral_pictures import Fill
from audit.metrics.agreement import effect_captured

SIDE = 2
PAINTED, BLURRED, PATCHED = "occlusion", "blurring", "removal patching"
NO_TOKENS = (
    "Tokens are not patched, since where this model has them is not known: blurring the windows "
    "takes the place of removal patching."
)
_PICTURES = 8


def gather_effects(
    context: Context, explanations: Explanations, explained_towers: ExplainedTowers | None = None
) -> PatchEffects:
    """Measure the effects of windows of 2 by 2 patches on some pairs, by two kinds of removal.

    Of an explainer of texts the effects of tokens, see `gather_token_effects`.

    Occlusion paints a window over with the picture's mean color; removal patching overwrites its
    tokens, in the middle half of the blocks, with those of a picture of mean color. Of a model
    whose tokens are not known the second kind paints the window with the picture's blur. Both are
    computed once per picture on the audit's own copy of the model, which no explainer receives.
    """
    towers = explained_towers.tokens if explained_towers is not None else {}
    if context.roles.explains_text or towers.get(context.roles.audited) is not None:
        return gather_token_effects(context)
    anatomy = context.pristine_model.anatomy
    pairs = torch.tensor(evenly_spaced(len(context.pairs), context.sizes.affected))
    pictures, picture = torch.unique(context.pairs.picture[pairs], return_inverse=True)
    probes = _probed(context, pictures)
    _, targets = context.pairs.batch(pairs, context.model.device, context.model.dtype)
    with torch.no_grad():
        texts = context.pristine_model.target_features(targets)
    index = picture.to(texts.device)
    by_window = [p.window_effects(texts, index).double().cpu() for p in probes]
    by_patch = [p.effects(texts, index).double().cpu().numpy() for p in probes]
    windows = probes[0].windows.cpu()
    maps = {
        name: over_windows(torch.from_numpy(found[pairs.numpy()]), windows)
        for name, found in explanations.maps.items()
    }
    sizes = [effects.abs() for effects in by_window]
    return PatchEffects(
        pairs=pairs.numpy(),
        kinds=(PAINTED, BLURRED if anatomy is None else PATCHED),
        effects=np.stack(by_patch),
        agreement={n: _agreement([m, m], by_window) for n, m in maps.items()},
        unsigned_agreement={n: _agreement([m, m], sizes) for n, m in maps.items()},
        ceiling=_agreement(by_window[::-1], by_window),
        unsigned_ceiling=_agreement(sizes[::-1], sizes),
        null_difference=null_difference(context, pictures),
        tolerance=NULL_FACTOR * torch.finfo(context.model.dtype).eps * _size(probes[0].reference),
        note=NO_TOKENS if anatomy is None else "",
    )


def _probed(context: Context, pictures: Int[Tensor, " n"]) -> tuple[Probed, Probed]:
    has_tokens = context.pristine_model.anatomy is not None
    second, name_of_second = (_patch, "patching") if has_tokens else (_blur, BLURRED)
    tasks: dict[str, Callable[[], dict[str, Tensor]]] = {}
    for part in pictures.split(_PICTURES):
        images = _images(context, part)
        name = f"of {len(part)}, from picture {int(part[0])}"
        tasks[f"occlusion {name}"] = partial(_probe, _occlude, context, images)
        tasks[f"{name_of_second} {name}"] = partial(_probe, second, context, images)
    told = partial(context.progress, "patch effects")
    drawn = context.tasks.all_drawn(tasks, lambda done: told(done, len(tasks)), of_model=True)
    found = [_on_device(context, one) for one in drawn]
    return _joined(found[::2]), _joined(found[1::2])


def _probe(
    probe: Callable[[Context, Tensor], Probed], context: Context, images: Tensor
) -> dict[str, Tensor]:
    found = probe(context, images)
    return {**vars(found), "restores": torch.tensor(found.restores)}


def _on_device(context: Context, found: dict[str, Tensor]) -> Probed:
    device, dtype = context.model.device, context.model.dtype
    return Probed(
        found["features"].to(device, dtype),
        found["reference"].to(device, dtype),
        found["windows"].to(device),
        bool(found["restores"]),
    )


def _occlude(context: Context, images: Float[Tensor, "n 3 H W"]) -> Probed:
    return _painted(context, images, "mean")


def _blur(context: Context, images: Float[Tensor, "n 3 H W"]) -> Probed:
    return _painted(context, images, "blur")


def _painted(context: Context, images: Float[Tensor, "n 3 H W"], fill: Fill) -> Probed:
    side, model = _side(context), context.pristine_model
    return occlude(
        model.features,
        context.grid,
        images,
        side=side,
        stride=side,
        fill=fill,
        batch=batch_of(images.device),
    )


def _patch(context: Context, images: Float[Tensor, "n 3 H W"]) -> Probed:
    anatomy = context.pristine_model.require_anatomy()
    side = _side(context)
    return patch_activations(
        anatomy, images, mode="removal", side=side, stride=side, batch=batch_of(images.device)
    )


def null_difference(context: Context, pictures: Int[Tensor, " n"]) -> float:
    """Removing nothing must leave the picture's feature, removing everything give the neutral's."""
    model, images = context.pristine_model, _images(context, pictures[:2])
    if model.anatomy is None:
        null = null_removal(model.features, context.grid, images)
        whole = all(s % g == 0 for s, g in zip(images.shape[2:], context.grid, strict=True))
        return max(null.nothing, null.everything if whole else 0.0)
    null = null_control(model.anatomy, images, mode="removal")
    return max(null.everything, null.nothing)


def _size(features: Float[Tensor, "n e"]) -> float:
    """Largest number of features that are not normalized, by which rounding grows."""
    return max(1.0, float(features.abs().max()))


def over_windows(
    maps: Float[Tensor, "n rows columns"], windows: Bool[Tensor, "w rows columns"]
) -> Float[Tensor, "n w"]:
    """Mean of each map over each window."""
    cover = windows.to(maps.dtype)
    return torch.einsum("nyx,wyx->nw", maps, cover) / cover.sum((1, 2))


def _agreement(maps: list[Tensor], effects: list[Tensor]) -> np.ndarray:
    rows = [effect_captured(m, e) for m, e in zip(maps, effects, strict=True)]
    return torch.stack(rows).numpy()


def _joined(parts: list[Probed]) -> Probed:
    return Probed(
        torch.cat([p.features for p in parts]),
        torch.cat([p.reference for p in parts]),
        parts[0].windows,
        parts[0].restores,
    )


def _images(context: Context, pictures: Int[Tensor, " n"]) -> Float[Tensor, "n 3 H W"]:
    return context.pairs.images[pictures].to(context.model.device, context.model.dtype)


def _side(context: Context) -> int:
    return min(SIDE, *context.grid)
