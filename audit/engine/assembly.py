"""Puts a result together: outcome, gallery, pictures, controls, equivalences, quality by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from audit.config.settings import Settings
from audit.data.pairs import Pairs, Skipped
from audit.engine.equivalence_notes import equivalence_notes, shown_equivalences
from audit.engine.gate_inputs import rule_given
from audit.engine.measured_quality import measured_quality, quality_notes
from audit.engine.picture_drawing import pairs_with_pictures
from audit.engine.word_captions import with_words
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.kinds import Evidence, Reference, TraceEvidence
from audit.evidence.smaller_batches import batch_notes
from audit.judging.gallery import MOST_PAIRS, gallery
from audit.judging.group_sequential import Judged, stopping_notes
from audit.models.model_under_audit import ModelUnderAudit
from audit.result.numbers import Interval
from audit.result.outcome import outcome
from audit.result.schema import (
    CheckResult,
    Conditions,
    ControlResult,
    DataInfo,
    Equivalence,
    ExplainerInfo,
    MeasuredQuality,
    ModelInfo,
    PairQuality,
    Result,
    SkippedItem,
    Timing,
)
from audit.result.shown_pairs import pairs_shown
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from audit.statistics.proportions import proportion_interval

_NAMED = 3


def summarize(
    *,
    found: Judged,
    checks: list[CheckResult],
    explainer: ExplainerInfo,
    model: ModelUnderAudit,
    pairs: Pairs,
    run: Conditions,
    timing: Timing,
    settings: Settings,
    pngs: Callable[[Sequence[str]], Mapping[str, str]],
    gate_notes: Sequence[str] = (),
) -> Result:
    """One result from findings and evidence.

    Args:
        found: what the checks found, and in what evidence.
        checks: those found, as the gate has them.
        explainer: the audited one.
        model: under audit.
        pairs: that were judged.
        run: under which conditions.
        timing: when, and how long it took.
        settings: of the audit.
        pngs: draws the pictures of some pairs.
        gate_notes: what the gate has to say.
    """
    evidence = found.gathered.evidence
    equivalences = shown_equivalences(explainer.name, explainer.options, evidence)
    quality = measured_quality(settings.quality, evidence)
    cards = with_words(gallery(evidence, _in_gallery(pairs)), evidence, model.encode)
    shown = pairs_shown(checks, cards)
    drawn = pngs(shown[: settings.pictures])
    shown_pairs, pictures = pairs_with_pictures(shown, evidence.reference, drawn)
    failures = [*found.gathered.failures, *found.broken]
    return Result(
        **outcome(explainer.name, checks, failures, rule_given(settings)),
        explainer=explainer,
        model=model_info(model),
        data=data_info(pairs, evidence),
        conditions=run,
        timing=timing,
        checks=checks,
        controls=_controls(evidence),
        equivalences=equivalences,
        gallery=cards,
        shown_pairs=shown_pairs,
        pictures=pictures,
        pair_quality=_pair_quality(evidence),
        quality=quality,
        failures=failures,
        notes=[
            *settings.notes,
            *gate_notes,
            *subject_notes(model, pairs),
            *audit_notes(explainer.name, equivalences, found, run.dtype, quality),
        ],
    )


def _in_gallery(pairs: Pairs) -> list[int]:
    return evenly_spaced(len(pairs), MOST_PAIRS)


def model_info(model: ModelUnderAudit) -> ModelInfo:
    """What the report says of the model."""
    anatomy = model.anatomy
    image = None if anatomy is None else anatomy.image
    text = None if anatomy is None else anatomy.text_tower
    return ModelInfo(
        name=model.name,
        pretrained=model.pretrained,
        state_sha256=model.state_sha256(),
        architecture_sha256=model.architecture_sha256(),
        parameters=sum(p.numel() for p in model.module.parameters()),
        image_size=model.image_size,
        image_blocks=None if image is None else len(image.blocks),
        image_heads=None if image is None else image.heads,
        patch_grid=list(model.patch_grid),
        text_blocks=None if text is None else len(text.blocks),
        text_heads=None if text is None else text.heads,
        notes=list(model.notes),
    )


def data_info(pairs: Pairs, evidence: Evidence) -> DataInfo:
    """What the report says of the pairs, with the accuracy that was measured on them."""
    accuracy, interval = None, None
    if evidence.reference is not None:
        estimate = _accuracy(evidence.reference)
        accuracy = estimate.value
        interval = Interval(low=estimate.low, high=estimate.high, level=estimate.level)
    return DataInfo(
        name=pairs.name,
        pairs=len(pairs),
        pictures=len(pairs.images),
        classes=len(pairs.classes),
        templates=list(pairs.templates),
        sha256=pairs.sha256,
        has_masks=pairs.masks is not None,
        zero_shot_accuracy=accuracy,
        zero_shot_interval=interval,
        notes=list(pairs.notes),
        grid=pairs.grid or None,
        clusters=len(pairs.cluster.unique()),
        skipped=[SkippedItem(what=one.what, reason=one.reason) for one in pairs.skipped],
    )


def _accuracy(reference: Reference) -> Estimate:
    """Share of pictures whose best class is present; grids of a set are drawn together."""
    correct = reference.correct
    if reference.sets is None:
        return proportion_interval(int(correct.sum()), len(correct))
    clusters, rng = reference.cluster_of_pictures, np.random.default_rng(0)
    return bootstrap_interval(correct.astype(float), clusters=clusters, rng=rng)


def _controls(evidence: Evidence) -> list[ControlResult]:
    if evidence.explanations is None:
        return []
    roles, quality = evidence.roles, evidence.explanations.localization
    notes = {
        "positive": "a faithful method on the unmodified model",
        "negative": "never looks at the model",
    }
    listed: list[tuple[str, Literal["positive", "negative"]]] = [
        *((name, "positive") for name in roles.positive),
        *((name, "negative") for name in roles.negative),
    ]
    return [
        ControlResult(
            name=name,
            role=role,
            note=notes[role],
            quality={m: _mean(v) for m, v in quality.get(name, {}).items()},
        )
        for name, role in listed
    ]


def _pair_quality(evidence: Evidence) -> list[PairQuality]:
    """Quality of every audited map: localization, and faithfulness where it was probed."""
    reference, roles = evidence.reference, evidence.roles
    if evidence.explanations is None or reference is None:
        return []
    measured = {
        name: {i: float(v) for i, v in enumerate(values)}
        for name, values in evidence.explanations.localization.get(roles.audited, {}).items()
    }
    if evidence.faithfulness is not None and roles.audited in evidence.faithfulness.gaps:
        own, probed = evidence.faithfulness.gaps[roles.audited], evidence.faithfulness.probed
        measured["faithfulness"] = {int(i): float(v) for i, v in zip(probed, own, strict=True)}
    return [
        PairQuality(
            pair=pair,
            picture=int(reference.picture[i]),
            grid_set=None if reference.sets is None else int(reference.sets[i]),
            values={n: v[i] if np.isfinite(v[i]) else None for n, v in measured.items() if i in v},
        )
        for i, pair in enumerate(reference.ids)
    ]


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def subject_notes(model: ModelUnderAudit, pairs: Pairs) -> list[str]:
    """What a reader should know of model and data."""
    return [*model.notes, *batch_notes(model), *pairs.notes, *skipped_notes(pairs.skipped)]


def skipped_notes(skipped: Sequence[Skipped]) -> list[str]:
    """What was left out of the data, a sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason, []).append(one.what)
    found = []
    for reason, names in by_reason.items():
        rest = len(names) - _NAMED
        more = f" and {rest:,} more" if rest > 0 else ""
        found.append(f"Left out of the data: {', '.join(names[:_NAMED])}{more}: {reason}.")
    return found


def audit_notes(
    name: str,
    equivalences: Sequence[Equivalence],
    found: Judged,
    dtype: str,
    quality: Sequence[MeasuredQuality],
) -> list[str]:
    """What a reader should know beside the verdicts."""
    return [
        *quality_notes(found.gathered.evidence, quality),
        *equivalence_notes(name, equivalences),
        *_trace_notes(name, found.gathered.evidence.trace, dtype),
        *stopping_notes(found),
    ]


def _trace_notes(name: str, trace: TraceEvidence | None, dtype: str) -> list[str]:
    """Why fewer pairs were traced than the profile asks for, and why in another dtype."""
    if trace is None:
        return []
    found = []
    if len(trace.traces) < trace.asked:
        found.append(
            f"{name} was traced on {len(trace.traces)} of {trace.asked} pairs, since an "
            f"explanation takes {trace.cost:.0f} times the operations of a score: what it does on "
            "some pairs alone is likelier to be missed."
        )
    if trace.dtype != dtype:
        found.append(
            f"{name} was traced in {trace.dtype} on a copy of the model: in {dtype} rounding hides "
            "what it executes. Code that only runs in that precision was not seen."
        )
    return found
