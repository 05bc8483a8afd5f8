"""Faults that a trace shows, shared by the checks that read traces.

A *probe* alters the inside of the model on purpose, many times on the same input, beside a clean
pass of the given pair or around it: occlusion of activations, attention knock-out, activation
patching, paths from a baseline. Probes are not modifications, as long as what is common to them is
the model. A single altered pass whose score is the thing explained is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit.result.finding import Finding, Verdict
from audit.trace.records import AlterationRecord, AttentionRecord, PairTrace

FEWEST_PROBES = 3


@dataclass(frozen=True)
class Fault:
    """A fault of one traced pair.

    Attributes:
        pair: id of the pair.
        what: in words.
        place: the explainer's line.
        remedy: what to do about it, in a sentence.
        certain: False where it may be a probe, of which there are too few to tell.
    """

    pair: str
    what: str
    place: str
    remedy: str = ""
    certain: bool = True


def is_probe(record: AttentionRecord | AlterationRecord, trace: PairTrace) -> bool:
    """Whether an altered pass is one of a family of probes.

    They lie around the model's own values, as masks and the steps of a path do; where their shape
    forbids to compare, a clean pass of the pair must stand beside them. Attention with another
    number of heads is no probe however often it runs, nor beside which clean pass.
    """
    if isinstance(record, AttentionRecord) and record.executed_heads not in {0, record.model_heads}:
        return False
    around = trace.clean_features if record.surrounds_model is None else record.surrounds_model
    return record.variants >= FEWEST_PROBES and around


def attention_faults(trace: PairTrace) -> list[AttentionRecord]:
    """Attention that differs from the model's and that the explanation depends on."""
    return [a for a in trace.attention if a.relevant and not is_probe(a, trace)]


def alteration_faults(trace: PairTrace) -> list[AlterationRecord]:
    """Altered values that entered a block or the final norm, other than probes and surrogates."""
    return [
        a for a in trace.alterations if a.relevant and not a.surrogate and not is_probe(a, trace)
    ]


def probes_only(trace: PairTrace) -> bool:
    """True where every deviation of the trace is a probe, and there is at least one."""
    altered = [a for a in trace.alterations if not a.surrogate]
    records: list[AttentionRecord | AlterationRecord] = [*trace.attention, *altered]
    relevant = [record for record in records if record.relevant]
    return (
        bool(relevant)
        and all(is_probe(record, trace) for record in relevant)
        and not trace.foreign
        and not any(a.surrogate and a.relevant for a in trace.alterations)
    )


def faulty_control(faults: Iterable[Fault]) -> Finding | None:
    """INCONCLUSIVE where the faithful control looks faulty as well; None where it does not."""
    first = next(iter(faults), None)
    if first is None:
        return None
    summary = f"The faithful control looks faulty as well: {first.what}."
    return Finding(
        verdict=Verdict.INCONCLUSIVE,
        summary=summary,
        remedy="Leave the control's own classes and functions alone, which the explainer shares "
        "with it; if it does, the audit is at fault: please report it with result.json.",
    )


def unseen(traces: Iterable[PairTrace], *, score: bool = False) -> Finding | None:
    """INCONCLUSIVE where a map may come from what no trace can see; None where nothing says so.

    Args:
        traces: of all pairs.
        score: whether the question is of the explained score.
    """
    reasons = [why for t in traces for why in (t.unseen, t.unknown_score if score else "")]
    why = next(filter(None, reasons), "")
    if not why:
        return None
    return Finding(
        verdict=Verdict.INCONCLUSIVE,
        summary=f"Part of the computation cannot be followed: {why}. A trace sees operations of "
        "torch in this process, whatever their thread; keep what the map is made of in torch.",
        remedy="Compute the map with operations of torch in this process from the model's output "
        f"on, so that it can be followed; now {why}.",
    )


def runs_the_model(trace: PairTrace) -> bool:
    """Whether the explainer ran the image tower at all."""
    return any(p.tower == "image" for p in trace.passes) or trace.attention_calls > 0
