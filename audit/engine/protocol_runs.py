"""Measures the explainers of a paper's table on any model and data, without judging them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from audit.config.settings import Settings
from audit.engine import supervision
from audit.engine.context_building import build_context, load_audited_model
from audit.engine.evidence_key import evidence_key
from audit.engine.progress import Progress, silent
from audit.engine.protocol_maps import Grid, PairsShown, maps_to_show, pairs_to_show
from audit.engine.protocol_presets import Preset, preset_named
from audit.engine.protocol_store import Measured, ProtocolStore
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job
from audit.evidence.context import Context
from audit.evidence.explanations import grid_masks
from audit.evidence.map_quality import probe_of
from audit.explainers.binding import bound
from audit.explainers.contract import Explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.known_names import expect_known_name
from audit.explainers.registry import load_explainer
from audit.explainers.sources import reading_recorded
from audit.metrics.mask_measures import MASK_MEASURES
from audit.metrics.probing import FAMILIES, Probe
from audit.metrics.quality_table import MEASURES
from audit.result.schema import ShownPair

JOB = "audit.engine.protocol_runs:measured"
_MEASURES = {one.name: one for one in MEASURES}


@dataclass(frozen=True)
class ProtocolRun:
    """What a protocol measured.

    Attributes:
        model: in words.
        data: its name.
        clusters: which picture, or set of grids, each pair is of.
        values: by explainer and measure, one number a pair.
        left_out: explainers that cannot explain this model, each with the reason.
        kept: explainers that an interrupted run had measured.
        key: of its folder among those of `audit.engine.protocol_store`.
        maps: by explainer and pair, of the pairs that are shown.
        shown: these pairs.
    """

    model: str
    data: str
    clusters: tuple[int, ...]
    values: Mapping[str, Mapping[str, tuple[float, ...]]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    key: str = ""
    maps: Mapping[str, Mapping[str, Grid]] = field(default_factory=dict)
    shown: PairsShown = field(default_factory=PairsShown)

    def as_plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        pairs = {name: pair.model_dump() for name, pair in self.shown.shown_pairs.items()}
        shown = {"shown_pairs": pairs, "pictures": dict(self.shown.pictures)}
        return dataclasses.asdict(dataclasses.replace(self, shown=PairsShown())) | {"shown": shown}

    @classmethod
    def from_plain(cls, found: Mapping[str, Any]) -> ProtocolRun:
        """Out of what `as_plain` gives, as JSON holds it."""
        values = {
            name: {measure: tuple(numbers) for measure, numbers in own.items()}
            for name, own in found["values"].items()
        }
        pairs = found["shown"]["shown_pairs"].items()
        shown = {name: ShownPair.model_validate(pair) for name, pair in pairs}
        plain = {
            "clusters": tuple(found["clusters"]),
            "kept": tuple(found["kept"]),
            "shown": PairsShown(shown, found["shown"]["pictures"]),
        }
        return cls(**{**found, **plain, "values": values})


def run_protocol_of(
    preset: Preset,
    settings: Settings,
    more: Sequence[str] = (),
    progress: Progress = silent,
) -> ProtocolRun:
    """Measure the explainers of a protocol, and others beside them.

    All run in a process of their own. What an interrupted run has measured is kept beside the
    output, and used again while model, data, settings and sources are as they were.

    Args:
        preset: the protocol.
        settings: of model and data.
        more: specs of other explainers.
        progress: told how far the work is.

    Raises:
        ValueError: an unknown name.
        ReportedError: what that process raised.
        WorkerEndedError: it ended without a result.
    """
    for name in more:
        expect_known_name(name)
    given = {
        "settings": settings.model_dump(mode="json"),
        "protocol": preset.name,
        "more": list(more),
        "folder": str(Path(settings.out).resolve()),
    }
    limits = supervision.Limits(settings.timeout, settings.memory_bytes)
    return ProtocolRun.from_plain(supervision.supervised(Job(JOB, given), limits, progress))


def measured(
    settings: dict[str, Any], protocol: str, more: Sequence[str], folder: str, board: StatusBoard
) -> dict[str, Any]:
    """The same in the worker process.

    Raises:
        ValueError: unknown names or settings (subclasses say which).
        OutputError: the folder cannot be written to.
    """
    preset, chosen = preset_named(protocol), Settings.model_validate(settings)
    model = load_audited_model(chosen)
    first = load_explainer("gradient")
    context = build_context(chosen, model, first, board.tell)
    anatomy = model.anatomy
    blocks = 0 if anatomy is None else len(anatomy.image.blocks)
    with_weights = f"{model.name}, {model.pretrained}" if model.pretrained else model.name
    key = evidence_key(chosen, context, preset.measures)
    store = ProtocolStore(Path(folder), key, resume=chosen.resume)
    probe = probe_of(context, context.pristine_model.features)
    specs = dict.fromkeys([*preset.specs(blocks), *more])
    found: dict[str, Measured] = {}
    kept = []
    for done, spec in enumerate(specs, 1):
        board.enter(f"measuring {spec}")
        if (known := store.kept(spec)) is not None:
            found[spec] = known
            kept.append(spec)
        else:
            with reading_recorded():
                found[spec], explainer = _measured(preset.measures, context, spec, probe)
            store.keep(spec, found[spec], explainer)
        board.tell(f"{protocol}: {spec}", done, len(specs))
    ran = {spec: one for spec, one in found.items() if not one.left_out}
    return ProtocolRun(
        with_weights,
        context.pairs.name,
        tuple(context.pairs.cluster.tolist()),
        {spec: one.values for spec, one in ran.items()},
        {spec: one.left_out for spec, one in found.items() if one.left_out},
        tuple(kept),
        key,
        {spec: one.maps for spec, one in ran.items()},
        pairs_to_show(context),
    ).as_plain()


def _measured(
    measures: Iterable[str], context: Context, spec: str, probe: Probe
) -> tuple[Measured, Explainer]:
    explainer = load_explainer(spec)
    try:
        on_model = bound(explainer, context.model, context.pairs.targets)
        maps = context.guarded(lambda module: context.maps(on_model, module)).float()
    except NeedsHeadsError as error:
        return Measured({}, str(error)), explainer
    values = _measures(measures, maps, probe, grid_masks(context))
    return Measured(values, maps=maps_to_show(context, maps)), explainer


def _measures(
    names: Iterable[str], maps: Tensor, probe: Probe, masks: Tensor | None
) -> dict[str, tuple[float, ...]]:
    """Each measure of each pair; those against masks are left out where there are none."""
    found: dict[str, Tensor] = {}
    for name in names:
        family = _MEASURES[name].family
        if family and name not in found:
            found |= FAMILIES[family](probe, maps.to(probe.images), _unchanged)
        elif not family and masks is not None:
            found[name] = MASK_MEASURES[name](maps, masks.to(maps))
    return {name: tuple(found[name].double().tolist()) for name in names if name in found}


def _unchanged(images: Tensor) -> Tensor:
    """No measure of a protocol runs the explainer anew."""
    raise NotImplementedError(f"expected no further explanations, got {len(images)} pictures")
