"""Attention and blocks that are not the unmodified model's, and their words: P105."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.result.wording import counted, number
from audit.trace.records import AlterationRecord, AttentionRecord, PairTrace
from principles.finding_parts import listed
from principles.unmodified_model import remedies
from principles.unmodified_model.faults import (
    Fault,
    alteration_faults,
    attention_faults,
    probes_only,
)

Grid = tuple[int, int]


def computation_faults(trace: PairTrace, grid: Grid) -> list[Fault]:
    """Each first divergence, with what it is off by; what follows from one is not said twice.

    Args:
        trace: of a pair.
        grid: patch rows and columns.
    """
    lacking = {(a.tower, a.block - 1): _lacking(a) for a in alteration_faults(trace)}
    found = [
        Fault(
            trace.pair,
            _attention_words(a, grid) + lacking.get((a.tower, a.block), ""),
            a.place,
            remedies.of_attention(a),
        )
        for a in attention_faults(trace)
    ]
    seen = {(a.tower, a.block) for a in attention_faults(trace)}
    for alteration in alteration_faults(trace):
        explained = {(alteration.tower, alteration.block - 1), (alteration.tower, alteration.block)}
        if seen & explained or any(b <= alteration.block for t, b in seen if t == alteration.tower):
            continue
        after = f" after {listed(alteration.after, 2)}" if alteration.after else ""
        where = alteration.where or f"block {alteration.block}"
        how = f", computed with {_with(alteration.params, trace)}" if alteration.params else ""
        what = (
            f"{alteration.tower} tower: values that are not the model's enter {where}{after}"
            f"{_lacking(alteration)}{how}"
        )
        mend = remedies.of_entrance(alteration.tower, where, alteration.params, alteration.place)
        found.append(Fault(trace.pair, what, alteration.place, mend))
    return found or _own_blocks(trace)


def _lacking(alteration: AlterationRecord) -> str:
    """Parts of the block before that altered values lack, in words."""
    if not alteration.left_out:
        return f", where {alteration.instead}" if alteration.instead else ""
    *others, part = alteration.left_out
    parts = f"{', '.join(others)} and {part}" if others else part
    last = alteration.last or f"block {alteration.block - 1}"
    instead = alteration.instead if "attention" in alteration.left_out else ""
    return f", without the {parts} of {last}" + (f" ({instead})" if instead else "")


def _with(params: Sequence[str], trace: PairTrace) -> str:
    """Parameters in words, and what of their modules is not as it was."""
    holders = {name.rpartition(".")[0] for name in params}
    altered = [c.what for c in trace.changes if c.path in holders and c.kind == "structure"]
    return listed(params, 2) + "".join(f" ({what})" for what in altered[:1])


def _own_blocks(trace: PairTrace) -> list[Fault]:
    """Blocks recomputed without any recognizable attention call, seen in the scalar's lineage."""
    if probes_only(trace):
        return []
    faults = []
    for scalar in trace.scalars:
        own = scalar.block_params
        if own and not scalar.clean and not any(a.surrogate for a in trace.alterations):
            what = f"the explained score is recomputed by own code with {listed(own, 2)}"
            mend = remedies.of_own_block(own, scalar.place)
            faults.append(Fault(trace.pair, what, scalar.place, mend))
    return faults


def _attention_words(a: AttentionRecord, grid: Grid) -> str:
    heads = (
        f"heads {a.model_heads} → {a.executed_heads}"
        if a.executed_heads and a.executed_heads != a.model_heads
        else f"{a.model_heads} heads"
    )
    off = "" if not a.divergence else f", {_tokens(a, grid)} off by {number(a.divergence)}"
    where = "in the model's own modules" if a.inside_model else "in the explainer's own code"
    block = a.where or f"block {a.block}"
    return f"{a.tower} tower, {block}: {a.operation} {where}, {heads}{off}{_masked(a)}"


def _masked(a: AttentionRecord) -> str:
    """Attention that the model's mask forbids, or none where the model has some, in words."""
    if a.hidden:
        share = f"{number(100 * a.hidden)} % of the attention"
        return f", {share} of all tokens goes where the model's mask hides others"
    if a.executed is None or a.model is None or len(a.executed) != len(a.model):
        return ""
    missed = int(((a.model > 0) & (a.executed == 0)).sum())
    return f", none goes to {counted(missed, 'token')} that the model attends to" if missed else ""


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
