"""Gathers maps of the same pictures under a text that they do not show."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from audit.evidence.context import Context
from audit.evidence.explanations import grid_masks, localization
from audit.evidence.kinds import Explanations, Reference, TextSpecificity
from audit.trace.records import Array

_STREAM = 205  # keeps this draw apart from others of the same seed


def gather_text_specificity(
    context: Context, reference: Reference, explanations: Explanations
) -> TextSpecificity:
    """Maps under an absent text, of the audited explainer, the positive controls and the negative.

    Negative controls never see the text, so that their maps are those of the right one; everything
    else is run, whatever it declares. Without masks nothing is run: there is no object to leave.
    """
    rng = np.random.default_rng((context.seed, _STREAM))
    absent = absent_classes(reference.present[reference.picture], rng)
    masks = grid_masks(context)
    if masks is None:
        return TextSpecificity(absent, {}, {})
    other = _asked_for(context, absent)
    maps, quality = {}, {}
    roles = context.roles
    for name in dict.fromkeys((roles.audited, *roles.positive, *roles.negative)):
        if name in roles.negative and name != roles.audited:
            maps[name], found = explanations.maps[name], explanations.localization[name]
        else:
            phase = f"maps of {name} for an absent text"
            work = functools.partial(other.maps, context.explainers[name], phase=phase)
            draw = functools.partial(context.guarded, work)
            drawn = context.tasks.one_drawn(name, draw, of_model=context.is_of_model(name))
            maps[name], found = drawn.double().numpy(), localization(drawn, masks, context.quality)
        quality[name] = {
            measure: np.where(absent >= 0, values, np.nan) for measure, values in found.items()
        }
    return TextSpecificity(absent, maps, quality)


def absent_classes(present: Array, rng: np.random.Generator) -> Array:
    """A class drawn evenly from those that each row does not show; -1 where it shows all."""
    keys = np.where(present, -1.0, rng.random(present.shape))
    return np.where(present.all(1), -1, keys.argmax(1))


def _asked_for(context: Context, classes: Array) -> Context:
    """The same context with other texts; a pair without an absent class keeps its own."""
    labels = np.where(classes >= 0, classes, context.pairs.labels.numpy())
    pairs = dataclasses.replace(context.pairs, labels=torch.from_numpy(labels))
    return dataclasses.replace(context, pairs=pairs)
