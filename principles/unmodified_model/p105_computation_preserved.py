"""P105 computation-preserved.

What it does: Compares every attention that is computed while the explainer runs, by the model's
modules or by the explainer's own code, with the unmodified model's attention on the same input, and
follows altered values to where they enter a block or the final norm. It names the first divergence:
tower, block, operation, executed heads against the model's, how far the attention is off, and the
explainer's line. Families of altered passes beside a clean one are probes and are fine.

Why it matters: A block that is computed in another way is another network, even with the same
weights: the map then explains that network. Grad-ECLIP's released code, for example, computes
CLIP's last block again with one head in place of twelve.

How to fix it: Read attention and activations with hooks from the model's own forward pass instead
of computing a block again. Where a fused kernel hides the attention, recompute it from the block's
own input exactly as the module does: as many heads, the same scale, mask, bias, activation and
residual path. Check it by comparing your block's output with the module's.

What a pass does not show: That the gradient or the map is read off this computation in a way that
only depends on the function. See P106 to P108.
"""

from __future__ import annotations

from audit.evidence.kinds import Reference, Roles, TraceEvidence
from audit.result.finding import Finding, Severity, Verdict
from principles.check import Check
from principles.finding_parts import locations, witness
from principles.unmodified_model.attention_figures import (
    computation_figures,
    decisive,
    worst_traced_pair,
)
from principles.unmodified_model.computation_faults import computation_faults
from principles.unmodified_model.faults import faulty_control, runs_the_model, unseen


def judge(trace: TraceEvidence, reference: Reference, roles: Roles) -> Finding:
    """Violated where an attention or a block that the explanation depends on is not the model's."""
    if not any(runs_the_model(t) for t in trace.traces):
        if hidden := unseen(trace.traces):
            return hidden
        summary = "The explainer runs no block of the model."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    grid = reference.image_grid
    if silenced := faulty_control(f for t in trace.control for f in computation_faults(t, grid)):
        return silenced
    faults = [f for t in trace.traces for f in computation_faults(t, grid)]
    statistics = decisive(trace, {f.pair for f in faults})
    if not faults and (hidden := unseen(trace.traces)):
        return hidden
    if not faults:
        return Finding(verdict=Verdict.PASS, summary=_passed(trace), statistics=statistics)
    pair = worst_traced_pair(trace, faults[0])
    faults.sort(key=lambda f: f.pair != pair)  # what is said of a place is of the pair shown
    first = faults[0]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"Another computation than the model's: {first.what}.",
        detail=list(dict.fromkeys(f"{f.what} {f.place}" for f in faults)) + _uses(trace),
        statistics=statistics,
        samples=sorted({f.pair for f in faults}),
        locations=locations((f.place, f.what) for f in faults),
        figures=computation_figures(trace, reference, first),
        witness=witness(roles, "P105", pair),
        remedy=first.remedy,
    )


def _passed(trace: TraceEvidence) -> str:
    calls = sum(t.attention_calls for t in trace.traces)
    probes = sum(a.variants for t in trace.traces for a in t.attention if a.relevant)
    also = f"; {probes:,} altered ones are probes beside a clean pass" if probes else ""
    if not calls:
        return f"Every value that entered a part of the model is the model's own{also}."
    return f"Every block and attention equals the model's ({calls:,} compared{also})."


def _uses(trace: TraceEvidence) -> list[str]:
    """Where the explainer uses the model's parameters outside their modules."""
    used: dict[str, set[str]] = {}
    for use in (use for one in trace.traces for use in one.uses):
        used.setdefault(use.place, set()).add(use.path)
    return [
        f"{place} uses {', '.join(sorted(paths))} outside {'its' if len(paths) == 1 else 'their'} "
        f"own module{'' if len(paths) == 1 else 's'}"
        for place, paths in sorted(used.items())
    ]


CHECK = Check(
    id="P105",
    name="computation-preserved",
    title="Does every block that the explainer computes give the model's attention and output?",
    failure_title="The explainer computes another network",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952); Zhao et al. 2024, official code",
    judge=judge,
)
