"""Every file that an audit will use is read before it begins, so that none ends it half-way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audit.config.settings import Settings
from audit.engine.live_objects import LiveObjects
from audit.evidence.context import Context
from audit.evidence.plan import plan
from audit.judging.answerable import answerable
from audit.models.loading import BUNDLED
from principles.check import Check

READ_MANY = frozenset({"performance", "chosen_pairs", "class_pairs", "executed", "twin_maps"})
"""Kinds of evidence for which more pairs are read than those of the audit."""


def with_files_read(
    context: Context, checks: Sequence[Check], settings: Settings, live: LiveObjects
) -> Context:
    """The same context, once the many pairs were read; what they leave out of the data is told.

    Args:
        context: of the audit.
        checks: that were selected.
        settings: name the data.
        live: objects in the place of names; these, and scenes that are drawn, are no files.

    Raises:
        DataError: a file cannot be used where the data allow for none.
    """
    files = live.data is None and settings.data != BUNDLED
    asked = answerable(checks, context.roles)
    needs = frozenset[str]().union(*(check.needs - check.on_demand for check in asked))
    if not files or context.many is None or READ_MANY.isdisjoint(plan(needs)):
        return context
    told = context.pairs.skipped
    further = tuple(one for one in context.many_pairs().skipped if one not in told)
    return replace(context, pairs=replace(context.pairs, skipped=(*told, *further)))
