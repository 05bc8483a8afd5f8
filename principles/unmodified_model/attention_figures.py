"""Where and how far executed attention is off the model's, as number and pictures: P105."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from audit.evidence.kinds import Reference, TraceEvidence
from audit.result.figures import DIFFERENCE, BarsFigure, Figure
from audit.result.numbers import Statistic
from audit.trace.records import AttentionRecord, PairTrace
from principles.finding_parts import pair_figure, source_figure
from principles.unmodified_model.computation_faults import Grid
from principles.unmodified_model.faults import Fault, attention_faults


def decisive(trace: TraceEvidence, faulty: Collection[str]) -> list[Statistic]:
    """On how many pairs something else was computed, and how far attention was off, if it was.

    Args:
        trace: of the traced pairs.
        faulty: ids of those on which a fault was found.
    """
    pairs = Statistic(
        name="pairs with another computation",
        value=len(faulty),
        threshold=0,
        good_side="below",
        n=len(trace.traces),
    )
    off = any(a.divergence for t in trace.traces for a in attention_faults(t))
    return [_divergence(trace), pairs] if off else [pairs]


def _divergence(trace: TraceEvidence) -> Statistic:
    """The largest distance of an executed attention to the model's."""
    every = [a.divergence for t in trace.traces for a in attention_faults(t)]
    return Statistic(
        name="largest attention divergence (total variation distance)",
        value=max((d for d in every if d is not None), default=0.0),
        threshold=0.0,
        good_side="below",
        n=len(trace.traces),
    )


def worst_traced_pair(trace: TraceEvidence, first: Fault) -> str:
    """The pair whose attention is furthest off; that of the first fault where none is."""
    worst = {
        t.pair: max((a.divergence or 0.0 for a in attention_faults(t)), default=-1.0)
        for t in trace.traces
    }
    pair = max(worst, key=lambda p: worst[p])
    return pair if worst[pair] >= 0 else first.pair


def computation_figures(trace: TraceEvidence, reference: Reference, first: Fault) -> list[Figure]:
    """Divergence block by block, the worst pair's attention, and the line that computes it."""
    figures: list[Figure] = [_bars(trace, reference)] if reference.image_blocks else []
    pair = worst_traced_pair(trace, first)
    worst = next(t for t in trace.traces if t.pair == pair)
    for record in attention_faults(worst)[:1]:
        figures += _attention_figure(reference, worst, record)
    figures += source_figure(trace.sources, first.place, "The line that computes it.")
    return figures


def _bars(trace: TraceEvidence, reference: Reference) -> BarsFigure:
    labels: list[str] = []
    values: list[float | None] = []
    for tower, blocks in (("image", reference.image_blocks), ("text", reference.text_blocks)):
        for block in range(blocks):
            labels.append(f"{tower} {block}")
            values.append(_mean(_of_block(trace, tower, block)))
    return BarsFigure(
        title="Attention divergence by block",
        caption="Total variation distance between executed and model attention of the pooled token "
        "(mean over heads and traced pairs); 0 where a block ran as the model runs it.",
        labels=labels,
        values=values,
        limit=0.0,
    )


def _of_block(trace: TraceEvidence, tower: str, block: int) -> Iterable[float]:
    for one in trace.traces:
        found = [a for a in attention_faults(one) if (a.tower, a.block) == (tower, block)]
        yield from (a.divergence for a in found if a.divergence is not None)


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every) if every else 0.0


def _attention_figure(
    reference: Reference, trace: PairTrace, record: AttentionRecord
) -> list[Figure]:
    if record.tower != "image" or record.executed is None or record.model is None:
        return []
    grid = reference.image_grid
    executed, model = _patches(record.executed, grid), _patches(record.model, grid)
    if executed is None or model is None or executed.shape != model.shape:
        return []
    return [
        pair_figure(
            reference,
            reference.ids.index(trace.pair),
            f"Attention of the class token, image block {record.block}",
            "Where the class token looks, mean over heads: as the explainer executes it, as the "
            "unmodified model computes it, and the first minus the second.",
            [("as executed", executed), ("model", model), (DIFFERENCE, executed - model)],
            shared_scale=True,
        )
    ]


def _patches(row: np.ndarray, grid: Grid) -> np.ndarray | None:
    """The attention to the patches, with or without the class token before them, on the grid."""
    skip = len(row) - grid[0] * grid[1]
    return np.asarray(row[skip:]).reshape(grid) if skip in (0, 1) else None
