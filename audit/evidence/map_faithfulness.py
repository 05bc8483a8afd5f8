"""Gathers faithfulness of the maps of all explainers on the unmodified model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explanations import maps_in_single
from audit.evidence.kinds import Explanations, Faithfulness
from audit.metrics.faithfulness import shared_removal_curves
from audit.metrics.fills import FillName
from audit.trace.records import Array

FRACTIONS = (0.0, 0.1, 0.3, 0.6, 1.0)
FILL: FillName = "mean"
OTHER_FILL: FillName = "blur"


def gather_faithfulness(context: Context, explanations: Explanations) -> Faithfulness:
    """Faithfulness of some pairs' maps, by two fills."""
    probed = torch.tensor(probed_pairs(context))
    known = maps_in_single(explanations, explanations.maps)
    maps = {name: found[probed] for name, found in known.items()}
    tasks = {
        f"fill, {fill}": partial(measured, context, context.pristine, maps, probed, fill)
        for fill in (FILL, OTHER_FILL)
    }
    one, other = context.tasks.all_kept(Gaps, tasks)
    return Faithfulness(probed.numpy(), one.of, one.span, other.of, other.span)


@dataclass(frozen=True)
class Gaps:
    """Faithfulness of some pairs' maps on one model.

    Attributes:
        of: insertion minus deletion per explainer, each (pairs,).
        span: full minus empty score, (pairs,).
    """

    of: dict[str, Array]
    span: Array


def probed_pairs(context: Context) -> list[int]:
    """The pairs whose faithfulness is measured, spread over the data."""
    return evenly_spaced(len(context.pairs), context.sizes.probed)


@torch.no_grad()
def measured(
    context: Context,
    module: nn.Module,
    maps: Mapping[str, Tensor],
    probed: Tensor,
    fill: FillName = FILL,
) -> Gaps:
    """Faithfulness of the probed pairs' maps on a model, by one fill."""
    model = context.model.with_module(module)
    images, targets = context.pairs.batch(probed, context.model.device, context.model.dtype)
    texts = model.target_features(targets)

    def score(pictures: Tensor, pair: Tensor) -> Tensor:
        return (model.features(pictures) * texts[pair]).sum(-1)

    generator = torch.Generator(device="cpu").manual_seed(context.seed)
    curves = shared_removal_curves(
        score,
        images,
        [one.to(images) for one in maps.values()],
        fill=fill,
        fractions=FRACTIONS,
        generator=generator,
        batch_size=context.batch_size(),
    )
    gaps = [(c.insertion - c.deletion).double().cpu().numpy() for c in curves]
    span = (curves[0].full - curves[0].empty).double().cpu().numpy()
    return Gaps(dict(zip(maps, gaps, strict=True)), span)
