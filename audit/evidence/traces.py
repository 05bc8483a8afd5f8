"""Gathers what the audited explainer executes, and the same of a faithful control."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from audit.evidence.context import Context, Watched
from audit.evidence.cost import is_expensive
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explained_copies import in_full_precision, own_copy
from audit.evidence.kinds import Costs, SourceLines, TraceEvidence
from audit.explainers.contract import Explainer
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy_in
from audit.trace.records import PairTrace
from audit.trace.tracing import TracedPair, trace_pair

TRACED_IF_EXPENSIVE = 2
_AROUND = 4


def gather_trace(context: Context, costs: Costs) -> TraceEvidence:
    """Trace a few pairs, spread over the data; of an explainer that costs a lot, two.

    A pair shows what an explainer executes; a further one guards against what only some pairs
    meet. Every finding that is judged by traces states their number. A model in half precision is
    traced in float32.
    """
    asked = wanted = min(context.sizes.traced, len(context.pairs))
    spent = costs.operations[context.roles.audited]
    if is_expensive(spent):
        wanted = min(wanted, TRACED_IF_EXPENSIVE)
    context = in_full_precision(context)
    chosen = evenly_spaced(len(context.pairs), wanted)
    pairs = [_pair(context, i) for i in chosen]
    null = _null_difference(context, chosen)
    known = context.watched()
    traces, places = _traces(context, context.audited, known, pairs, "tracing the explainer")
    control: tuple[PairTrace, ...] = ()
    if context.roles.positive:
        faithful = context.explainers[context.roles.positive[0]]
        control, _ = _traces(context, faithful, known, pairs[:2], "tracing the control")
    return TraceEvidence(
        traces=traces,
        control=control,
        tolerance=10 * null + 64 * torch.finfo(context.model.dtype).eps,
        dtype=context.model.dtype_name,
        sources={shown: lines for shown, lines in places.items() if lines.lines},
        asked=asked,
        cost=spent,
        before=context.before,
    )


def _traces(
    context: Context,
    explainer: Explainer,
    known: Watched,
    pairs: list[TracedPair],
    phase: str,
) -> tuple[tuple[PairTrace, ...], dict[str, SourceLines]]:
    traces: list[PairTrace] = []
    sources: dict[str, SourceLines] = {}
    for done, pair in enumerate(pairs, 1):
        found = context.tasks.kept(
            f"{phase}, {pair.id}",
            _Traced,
            partial(_traced, context, explainer, known, pair),
        )
        traces.append(found.trace)
        sources |= found.sources
        context.progress(phase, done, len(pairs))
    return tuple(traces), sources


@dataclass(frozen=True)
class _Traced:
    """One trace, and the lines that it names."""

    trace: PairTrace
    sources: dict[str, SourceLines]


def _traced(
    context: Context,
    explainer: Explainer,
    known: Watched,
    pair: TracedPair,
) -> _Traced:
    module = own_copy(context.pristine)  # what is kept for another model is computed again, watched
    trace, places = trace_pair(
        explainer, module, known.structure, pair, known.rounding, context.memory
    )
    lines = {str(place): source_lines(str(place), place.file, place.line) for place in places}
    return _Traced(trace, lines)


def source_lines(shown: str, file: str, line: int) -> SourceLines:
    """The lines around one line of a file; none where the file cannot be read."""
    every = linecache.getlines(file)
    first = max(line - _AROUND, 1)
    some = every[first - 1 : line + _AROUND]
    name = shown.rpartition(":")[0]
    return SourceLines(name, line, first, tuple(text.rstrip("\n")[:400] for text in some))


@torch.no_grad()
def _pair(context: Context, index: int) -> TracedPair:
    images, targets = context.pairs.batch(
        torch.tensor([index]), context.model.device, context.model.dtype
    )
    model = context.pristine_model
    image = model.features(images)
    score = float((image * model.target_features(targets)).sum())
    texts = model.target_features(context.pairs.targets.to(context.model.device))
    factor, offset = model.logit_scale, model.logit_bias
    logits = factor * image @ texts.T + offset
    label = int(context.pairs.labels[index])
    probability = float(logits.double().softmax(-1)[0, label])
    scores = {
        getattr(model.interface, "score_name", "cosine"): score,
        "logit": factor * score + offset,
        "probability": probability,
        "log-probability": float(logits.double().log_softmax(-1)[0, label]),
    }
    return TracedPair(context.pairs.ids[index], images, targets, scores)


def _null_difference(context: Context, chosen: list[int]) -> float:
    """Largest difference of the model's score to itself: other kernels, other company."""
    images, targets = context.pairs.batch(
        torch.tensor(chosen), context.model.device, context.model.dtype
    )
    model = context.pristine_model
    with torch.no_grad():
        alone = torch.cat(
            [model.score(images[i : i + 1], targets[i : i + 1]) for i in range(len(chosen))]
        )
        together = model.score(images, targets)
    with torch.enable_grad():
        differentiable = model.score(images.clone().requires_grad_(), targets).detach()
    with torch.no_grad():
        by_hand = _by_hand(context.pristine_model, images, targets)
    others = torch.stack([together.double(), differentiable.double(), by_hand.double()])
    return float((others - alone.double()).abs().max())


def _by_hand(model: ModelUnderAudit, images: Tensor, targets: Tensor) -> Tensor:
    """Scores with every attention of the image tower written out; else in double precision."""
    if model.anatomy is None:
        exact = model.with_module(pristine_copy_in(model.module, torch.float64))
        return exact.score(images.double(), targets)
    tower = model.require_anatomy().image
    x = tower.embed(images)
    for block in tower.blocks:
        q, k, v = block.qkv(block.normalize(x))
        x = block.finish(x, block.project(block.mix_values(block.attention(q, k), v)))
    return (tower.score_features(x) * model.target_features(targets)).sum(-1)
