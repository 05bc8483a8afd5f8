"""Gathers the audited maps and those of its faithful twin on many pairs: P204's design.

What parts a method from its faithful twin is small beside what parts pictures, so that it takes
more pairs to tell than the audit has.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from audit.evidence.context import Context
from audit.evidence.explanations import gather_explanations
from audit.evidence.kinds import TwinMaps


def gather_twin_maps(context: Context) -> TwinMaps:
    """Localization of either on all pairs that performance is measured on."""
    audited, twin = context.roles.audited, context.roles.twin
    if twin is None or context.pairs.masks is None:
        return TwinMaps(np.arange(0), {})
    pairs = context.many_pairs()
    two = {name: context.explainers[name] for name in (audited, twin)}
    found = gather_explanations(dataclasses.replace(context, pairs=pairs, explainers=two))
    values = {name: table[context.roles.decides] for name, table in found.localization.items()}
    return TwinMaps(pairs.cluster.numpy(), values)
