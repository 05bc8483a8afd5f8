"""Gathers what taking tokens out of a text does to the score, and which token maps foresee it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.kinds import PatchEffects
from audit.explainers.binding import bound, needs_met
from audit.explainers.contract import Explainer
from audit.explainers.model_needs import lacking
from audit.explainers.probed_features import batch_of
from audit.explainers.registry import load_explainer
from audit.explainers.token_removal import without
from audit.interventions.draws import generator_for
from audit.metrics.agreement import effect_captured

REMOVED, REPLACED = "token removal", "token replacement"
FAITHFUL = "text-integrated-gradients?steps=8"
MODEL_FREE = ("random tokens", "early tokens", "late tokens", "rare tokens")
"""Maps that know the tokens alone: at random, by their place, and by their number, since
vocabularies count from frequent pieces to rare ones."""
FILLER = 0
NULL_FACTOR = 64.0


def gather_token_effects(context: Context) -> PatchEffects:
    """Measure the effect of every token between a text's start and its end, by two interventions.

    Removal takes the token out, and what follows moves up; replacement puts the token of number 0
    in its place. Both run the unmodified model on whole texts; a text is computed once for each of
    its tokens, whatever the pictures.
    """
    pairs = torch.tensor(evenly_spaced(len(context.pairs), context.sizes.affected))
    images, targets = context.pairs.batch(pairs, context.model.device, context.model.dtype)
    content = content_of(context, targets)
    with torch.no_grad():
        effects = [
            _effects(context, images, targets, content, kind).double().cpu()
            for kind in (REMOVED, REPLACED)
        ]
        null = _null_difference(context, targets, content)
    content = content.cpu()
    maps = _maps(context, pairs, targets.cpu())
    sizes = [one.abs() for one in effects]
    names = (context.roles.audited, *(n for n in maps if n != context.roles.audited))
    return PatchEffects(
        pairs=pairs.numpy(),
        kinds=(REMOVED, REPLACED),
        effects=torch.stack(effects)[:, :, None].numpy(),
        agreement={n: _agreement([maps[n]] * 2, effects, content) for n in names},
        unsigned_agreement={n: _agreement([maps[n]] * 2, sizes, content) for n in names},
        ceiling=_agreement(effects[::-1], effects, content),
        unsigned_ceiling=_agreement(sizes[::-1], sizes, content),
        null_difference=null,
        tolerance=NULL_FACTOR * torch.finfo(context.model.dtype).eps,
        token_maps=maps[context.roles.audited][:, None].numpy(),
        faithful=tuple(n for n in names if n == FAITHFUL),
        model_free=MODEL_FREE,
    )


def content_of(context: Context, targets: Int[Tensor, "n context"]) -> Bool[Tensor, "n context"]:
    """The tokens between start and end; where the end is not known, the last that is no padding."""
    anatomy = context.pristine_model.anatomy
    if anatomy is not None and anatomy.text_tower is not None:
        end = anatomy.text.pooled_index(targets)
    else:
        filled = targets != context.model.encode([""])[0, -1].to(targets)
        end = targets.shape[1] - 1 - filled.flip(1).int().argmax(1)
    place = torch.arange(targets.shape[1], device=targets.device)
    return (place > 0) & (place < end[:, None])


def _effects(
    context: Context,
    images: Tensor,
    targets: Int[Tensor, "n context"],
    content: Bool[Tensor, "n context"],
    kind: str,
) -> Float[Tensor, "n context"]:
    """Drop of each pair's score by token; 0 outside the content."""
    model = context.pristine_model
    texts, index = torch.unique(targets, dim=0, return_inverse=True)
    inner = torch.zeros_like(texts, dtype=torch.bool)
    inner[index] = content
    text, place = inner.nonzero(as_tuple=True)
    altered = without(texts[text], place) if kind == REMOVED else _replaced(texts[text], place)
    size = batch_of(texts.device)
    whole = torch.cat([model.target_features(part) for part in texts.split(size)])
    found = whole[:, None].repeat(1, texts.shape[1], 1)
    if len(text):
        parts = [model.target_features(part) for part in altered.split(size)]
        found[text, place] = torch.cat(parts)
    pictures = torch.cat([model.features(part) for part in images.split(context.batch_size())])
    drops = whole[index][:, None] - found[index]
    return (drops * pictures[:, None]).sum(-1)


def _replaced(
    tokens: Int[Tensor, "rows context"], place: Int[Tensor, " rows"]
) -> Int[Tensor, "rows context"]:
    found = tokens.clone()
    found[torch.arange(len(found), device=found.device), place] = FILLER
    return found


def _null_difference(
    context: Context, targets: Int[Tensor, "n context"], content: Bool[Tensor, "n context"]
) -> float:
    """A text without any of its tokens is the empty text; untouched it is itself."""
    model = context.pristine_model
    tokens, inner = targets[:1].clone(), content[:1].clone()
    for place in reversed(inner[0].nonzero()[:, 0].tolist()):
        tokens = without(tokens, torch.tensor([place], device=tokens.device))
    empty = model.encode([""]).to(tokens)
    nothing = model.target_features(targets[:1]) - model.target_features(targets[:2])[:1]
    gone = model.target_features(tokens) - model.target_features(empty)
    return max(float(nothing.abs().max()), float(gone.abs().max()))


def _maps(
    context: Context, pairs: Int[Tensor, " n"], targets: Int[Tensor, "n context"]
) -> dict[str, Float[Tensor, "n context"]]:
    """Token maps of the audited explainer, a faithful control and those that know no model."""
    found = {context.roles.audited: _token_map(context, context.audited, pairs)}
    control = load_explainer(FAITHFUL)
    if needs_met(control, lacking(context.model)):
        control = bound(control, context.model, context.pairs.targets)
        found.setdefault(FAITHFUL, _token_map(context, control, pairs))
    places = torch.arange(targets.shape[1], dtype=torch.float64).expand(targets.shape)
    generator = generator_for("token maps", context.seed)
    known = (
        torch.rand(targets.shape, generator=generator, dtype=torch.float64),
        -places,
        places,
        targets.double(),
    )
    return found | dict(zip(MODEL_FREE, known, strict=True))


def _token_map(
    context: Context, explainer: Explainer, pairs: Int[Tensor, " n"]
) -> Float[Tensor, "n context"]:
    def draw(module: nn.Module) -> Tensor:
        parts = []
        for rows in pairs.split(context.batch_size()):
            one = context.explain(explainer, module, rows).token_maps
            if one is None:
                raise ValueError(
                    f"expected a map of the tokens from {explainer.name}, found none; return "
                    "token_maps at every call or at none"
                )
            parts.append(one.double().cpu())
        return torch.cat(parts)

    return context.guarded(draw)


def _agreement(
    maps: list[Tensor], effects: list[Tensor], content: Bool[Tensor, "n context"]
) -> np.ndarray:
    """What each map captures of the effects of its text's own tokens, (kinds, pairs)."""
    rows = []
    for relevance, drops in zip(maps, effects, strict=True):
        each = [
            effect_captured(r[inner][None].double(), d[inner][None])
            if bool(inner.any())
            else torch.full((1,), torch.nan, dtype=torch.float64)
            for r, d, inner in zip(relevance, drops, content, strict=True)
        ]
        rows.append(torch.cat(each))
    return torch.stack(rows).numpy()
