"""P105 computation-preserved.

What it does: Compares every attention that is computed while the explainer runs, by the model's
modules or by the explainer's own code, with the unmodified model's attention on the same input, and
follows altered values to where they enter a block or the final norm. It names the first divergence:
tower, block, operation, executed heads against the model's, how far the attention is off, and the
explainer's line. Families of altered passes beside a clean one are probes and are fine.

Why it matters: Grad-ECLIP's released code computes CLIP's last block again with one head in place
of twelve: same weights, another network.

What a pass does not show: That the gradient or the map is read off this computation in a way that
only depends on the function. See P106 to P108.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from audit.evidence.kinds import Evidence, Reference, TraceEvidence
from audit.result.schema import BarsFigure, Figure, Finding, Severity, Statistic, Verdict
from audit.trace.records import AttentionRecord, PairTrace
from principles.check import Check, Thresholds
from principles.finding_parts import (
    listed,
    locations,
    number,
    pair_figure,
    plural,
    source_figure,
    witness,
)
from principles.unmodified_model.faults import (
    Fault,
    alteration_faults,
    attention_faults,
    probes_only,
    runs_the_model,
    unseen,
)

Grid = tuple[int, int]


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where an attention or a block that the explanation depends on is not the model's."""
    del thresholds
    trace, reference = evidence.trace, evidence.reference
    assert trace is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    if not any(runs_the_model(t) for t in trace.traces):
        if hidden := unseen(trace.traces):
            return hidden
        summary = "The explainer runs no block of the model."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    control = [f for t in trace.control for f in _faults(t, reference.image_grid)]
    if control:
        summary = f"The faithful control looks faulty as well: {control[0].what}."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    faults = [f for t in trace.traces for f in _faults(t, reference.image_grid)]
    calls = sum(t.attention_calls for t in trace.traces)
    statistic = _statistic(trace)
    if not faults and (hidden := unseen(trace.traces)):
        return hidden
    if not faults:
        probes = sum(a.variants for t in trace.traces for a in t.attention if a.relevant)
        also = f"; {probes} altered ones are probes beside a clean pass" if probes else ""
        summary = f"Every attention equals the model's ({plural(calls, 'call')} compared{also})."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=[statistic])
    pair = _worst(trace, faults[0])
    first = next(f for f in faults if f.pair == pair)
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"Another computation than the model's: {first.what}.",
        detail=list(dict.fromkeys(f"{f.what} {f.place}" for f in faults)) + _uses(trace),
        statistics=[statistic],
        samples=sorted({f.pair for f in faults}),
        locations=locations((f.place, f.what) for f in faults),
        figures=_figures(trace, reference, first),
        witness=witness(evidence.roles, "P105", pair),
    )


def _faults(trace: PairTrace, grid: Grid) -> list[Fault]:
    found = [Fault(trace.pair, _attention_words(a, grid), a.place) for a in attention_faults(trace)]
    seen = {(a.tower, a.block) for a in attention_faults(trace)}
    for alteration in alteration_faults(trace):
        explained = {(alteration.tower, alteration.block - 1), (alteration.tower, alteration.block)}
        if seen & explained or any(b <= alteration.block for t, b in seen if t == alteration.tower):
            continue
        after = f" after {listed(alteration.after, 2)}" if alteration.after else ""
        how = f", computed with {listed(alteration.params, 2)}" if alteration.params else ""
        what = (
            f"{alteration.tower} tower: values that are not the model's enter "
            f"block {alteration.block}{after}{how}"
        )
        found.append(Fault(trace.pair, what, alteration.place))
    return found or _own_blocks(trace)


def _own_blocks(trace: PairTrace) -> list[Fault]:
    """Blocks recomputed without any recognizable attention call, seen in the scalar's lineage."""
    if probes_only(trace):
        return []
    faults = []
    for scalar in trace.scalars:
        own = scalar.block_params
        if own and not scalar.clean and not any(a.surrogate for a in trace.alterations):
            what = f"the explained score is recomputed by own code with {listed(own, 2)}"
            faults.append(Fault(trace.pair, what, scalar.place))
    return faults


def _attention_words(a: AttentionRecord, grid: Grid) -> str:
    heads = (
        f"heads {a.model_heads} → {a.executed_heads}"
        if a.executed_heads and a.executed_heads != a.model_heads
        else f"{a.model_heads} heads"
    )
    off = "" if a.divergence is None else f", {_tokens(a, grid)} off by {number(a.divergence)}"
    where = "in the model's own modules" if a.inside_model else "in the explainer's own code"
    return f"{a.tower} tower, block {a.block}: {a.operation} {where}, {heads}{off}"


def _tokens(a: AttentionRecord, grid: Grid) -> str:
    """Whose attention was compared, and to which token it is furthest off."""
    whose = (
        "attention of the class token"
        if a.tower == "image"
        else "attention of the end-of-text token"
    )
    if a.executed is None or a.model is None or len(a.executed) != len(a.model):
        return whose
    token = int(np.abs(a.executed - a.model).argmax())
    if a.tower == "text" or len(a.model) != grid[0] * grid[1] + 1:
        return f"{whose} (most to token {token})"
    row, column = divmod(token - 1, grid[1])
    to = "itself" if token == 0 else f"the patch in row {row + 1}, column {column + 1}"
    return f"{whose} (most to {to})"


def _divergences(trace: TraceEvidence) -> list[float]:
    every = [a.divergence for t in trace.traces for a in attention_faults(t)]
    return [d for d in every if d is not None]


def _statistic(trace: TraceEvidence) -> Statistic:
    return Statistic(
        name="largest attention divergence (total variation distance)",
        value=max(_divergences(trace), default=0.0),
        threshold=0.0,
        good_side="below",
        n=len(trace.traces),
    )


def _uses(trace: TraceEvidence) -> list[str]:
    uses = {(u.place, u.path) for t in trace.traces for u in t.uses}
    return [f"{place} uses {path} outside its own module" for place, path in sorted(uses)]


def _worst(trace: TraceEvidence, first: Fault) -> str:
    worst = {
        t.pair: max((a.divergence or 0.0 for a in attention_faults(t)), default=-1.0)
        for t in trace.traces
    }
    pair = max(worst, key=lambda p: worst[p])
    return pair if worst[pair] >= 0 else first.pair


def _figures(trace: TraceEvidence, reference: Reference, first: Fault) -> list[Figure]:
    figures: list[Figure] = [_bars(trace, reference)]
    pair = _worst(trace, first)
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
            [("as executed", executed), ("model", model), ("difference", executed - model)],
            shared_scale=True,
        )
    ]


def _patches(row: np.ndarray, grid: Grid) -> np.ndarray | None:
    """The attention to the patches, with or without the class token before them, on the grid."""
    skip = len(row) - grid[0] * grid[1]
    return np.asarray(row[skip:]).reshape(grid) if skip in (0, 1) else None


CHECK = Check(
    id="P105",
    name="computation-preserved",
    title="Does every block that the explainer computes give the model's attention and output?",
    failure_title="The explainer computes another network",
    severity=Severity.ERROR,
    needs=frozenset({"trace", "reference"}),
    thresholds={},
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952); Zhao et al. 2024, official code",
    judge=judge,
)
