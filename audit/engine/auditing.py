"""The composition root: settings in, result out. Gathers, judges, and puts the result together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from audit import __version__
from audit.config.settings import Settings, SettingsError
from audit.data.bundled_scenes import bundled_pairs
from audit.data.manifest import manifest_pairs
from audit.data.pairs import Pairs
from audit.engine.assembly import summarize
from audit.engine.gate_inputs import load_gate
from audit.engine.gathering_limits import gathering_limits
from audit.engine.pictures import drawn_pictures
from audit.engine.provenance import conditions, explainer_info, now, timing
from audit.engine.reproduction import command_line, snippet
from audit.engine.stopwatch import Stopwatch
from audit.engine.thread_count import suited_threads
from audit.evidence.context import Context, Progress, Sizes
from audit.evidence.dry_run import try_explainer
from audit.evidence.explanations import full_name
from audit.evidence.interim_looks import ALWAYS, forget_looks, measured_looks
from audit.evidence.kinds import Evidence, Roles
from audit.evidence.plan import evidence_format, gather
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.explainers.sources import sources_sha256
from audit.gate.gating import Gate
from audit.judging.group_sequential import Judged, judge_at_once, judge_by_looks
from audit.judging.selection import by_check, selected_checks
from audit.models.companion_models import find_companion_models, names_a_model
from audit.models.ladder_checkpoints import find_checkpoints
from audit.models.loading import BUNDLED, RANDOM, load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.nearest_name import hint
from audit.result.schema import Result, Timing
from principles.catalogue import all_checks
from principles.check import Check

POSITIVE = ("grad-attention", "attention-eclip?heads=model&weight=none")
NEGATIVE = ("random", "center-prior", "edges")
SIZES = {
    "quick": Sizes(
        traced=3,
        probed=8,
        ladder_seeds=1,
        reparametrized=8,
        randomized=8,
        randomizations=1,
        affected=24,
        repeated=4,
    ),
    "default": Sizes(),
    "full": Sizes(
        traced=12,
        probed=96,
        ladder_seeds=3,
        graded=("weight-noise", "interpolation", "removed-heads"),
        reparametrized=32,
        randomized=32,
        randomizations=4,
        affected=160,
        repeated=12,
    ),
}


@dataclass(frozen=True)
class Audit:
    """A result, and the context that it came from."""

    result: Result
    context: Context
    evidence: Evidence


def run_audit(settings: Settings, progress: Progress) -> Audit:
    """Audit an explainer.

    Args:
        settings: what to audit and how.
        progress: told how far the work is.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
        OSError: the output folder cannot be written.
    """
    started, watch = now(), Stopwatch()
    checks = selected_checks(settings)
    gate = load_gate(settings, [check.id for check in all_checks()])
    audited = load_explainer(settings.explainer, settings.options)
    model = load_audited_model(settings)
    context = _context(settings, model, audited, progress)
    try_explainer(context)
    folder = Path(settings.out) / "evidence"
    key = _key(settings, context)
    with suited_threads(model):
        found = _found(settings, context, checks, folder, key, watch)
    used = found.gathered.evidence.reference
    if found.pairs and used is not None:
        index = {pair: i for i, pair in enumerate(context.pairs.ids)}
        context = replace(context, pairs=context.pairs.select([index[i] for i in used.ids]))
    time = timing(started, found.gathered.seconds, watch.seconds)
    result = _assembled(settings, context, found, gate, key, time)
    return Audit(result, context, found.gathered.evidence)


def _found(
    settings: Settings,
    context: Context,
    checks: Sequence[Check],
    folder: Path,
    key: str,
    watch: Stopwatch,
) -> Judged:
    """Gather and judge: once, or look by look until the checks are settled."""
    severity, thresholds = (
        by_check(settings.severity, checks),
        by_check(settings.thresholds, checks),
    )
    if settings.samples == "auto":
        looks = measured_looks(context, folder, key, resume=settings.resume)
        return judge_by_looks(
            checks, looks, severity=severity, thresholds=thresholds, timed=watch.timed
        )
    forget_looks(folder)
    needs = ALWAYS.union(*(c.needs for c in checks))
    gathered = gather(context, needs, folder, key, resume=settings.resume)
    return judge_at_once(
        checks, gathered, severity=severity, thresholds=thresholds, timed=watch.timed
    )


def load_audited_model(settings: Settings) -> ModelUnderAudit:
    """The model that the settings name, on their device.

    Raises:
        ModelError: for models, weights or devices that do not exist.
        UnknownAnatomyError: for models of a kind that is not known.
    """
    return load_model(
        settings.model,
        settings.pretrained,
        device=settings.device,
        dtype=settings.dtype,
        seed=settings.seed,
        allow_download=settings.allow_download,
    )


def load_pairs(settings: Settings, model: ModelUnderAudit) -> Pairs:
    """The data that the settings name."""
    count = settings.most_pairs
    if settings.data == BUNDLED:
        pairs = bundled_pairs(model, count, seed=settings.seed)
    else:
        pairs = manifest_pairs(
            model,
            Path(settings.data),
            count,
            seed=settings.seed,
            template=settings.template,
            allow_outside=settings.allow_outside,
        )
    if settings.pair is None:
        return pairs
    if settings.pair not in pairs.ids:
        raise SettingsError(
            f"no pair '{settings.pair}' among the {len(pairs)} pairs"
            f"{hint(settings.pair, pairs.ids)}; reports name the pairs, such as '{pairs.ids[0]}'"
        )
    return pairs.select([pairs.ids.index(settings.pair)])


def _context(
    settings: Settings, model: ModelUnderAudit, audited: Explainer, progress: Progress
) -> Context:
    name = full_name(audited.name, dict(audited.options))
    positive = tuple(n for n in POSITIVE if n != name)[:1]
    explainers = {name: audited}
    twin = [audited.faithful_twin] if audited.faithful_twin else []
    for other in (*positive, *NEGATIVE, *twin):
        explainers.setdefault(other, load_explainer(other))
    roles = Roles(
        audited=name,
        positive=positive,
        negative=NEGATIVE,
        twin=audited.faithful_twin,
        text_specific=audited.text_specific,
        model_free=audited.model_free,
        stochastic=audited.stochastic,
        command=command_line(settings),
        snippet=snippet(settings),
        random_weights=model.pretrained == RANDOM,
    )
    fetch = settings.allow_download
    models = [source for source in settings.ladder if names_a_model(source)]
    return Context(
        model=model,
        pristine=pristine_copy(model.module),
        pairs=load_pairs(settings, model),
        explainers=explainers,
        roles=roles,
        sizes=SIZES[settings.profile],
        seed=settings.seed,
        progress=progress,
        checkpoints=find_checkpoints(
            model, [s for s in settings.ladder if s not in models], allow_download=fetch
        ),
        others=find_companion_models(model, models, allow_download=fetch),
        pairs_for=partial(load_pairs, settings),
        limits=gathering_limits(settings.thresholds),
    )


def _key(settings: Settings, context: Context) -> str:
    parts = (
        __version__,
        evidence_format(),
        torch.__version__,
        settings.device,
        settings.dtype,
        settings.seed,
        settings.profile,
        context.model.state_sha256(),
        context.pairs.sha256,
        context.checkpoints,
        context.others,
        context.roles,
        context.limits,
        sources_sha256(context.audited.source_file),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _assembled(
    settings: Settings,
    context: Context,
    found: Judged,
    gate: Gate,
    key: str,
    time: Timing,
) -> Result:
    explainer = explainer_info(context.audited)
    gated, notes = gate.applied(
        found.results,
        explainer=explainer.name,
        model=context.model.state_sha256(),
        data=context.pairs.sha256,
    )
    run = conditions(
        seed=settings.seed,
        device=settings.device,
        dtype=settings.dtype,
        settings=settings.shown(),
        command=command_line(settings),
        source=context.audited.source_file,
        checkpoints={c.source: c.sha256 for c in context.checkpoints}
        | {other.source: other.sha256 for other in context.others},
        evidence=key,
    )
    return summarize(
        found=found,
        checks=gated,
        gate_notes=notes,
        explainer=explainer,
        model=context.model,
        pairs=context.pairs,
        run=run,
        timing=time,
        settings=settings,
        pngs=lambda shown: drawn_pictures(context, shown),
    )
