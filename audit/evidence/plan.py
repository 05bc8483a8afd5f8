"""The planner: gathers each kind of evidence once, in order, and keeps what is finished."""

from __future__ import annotations

import dataclasses
import json
import traceback
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from audit.evidence import kinds, store
from audit.evidence.context import Context
from audit.evidence.effects import gather_effects
from audit.evidence.executed import gather_executed
from audit.evidence.explanations import gather_explanations, gather_relatives
from audit.evidence.kinds import Evidence, Executed, Reference, Roles, TraceEvidence
from audit.evidence.ladder import gather_ladder
from audit.evidence.map_faithfulness import gather_faithfulness
from audit.evidence.other_models import gather_other_models
from audit.evidence.randomization import gather_randomization
from audit.evidence.reference import gather_reference
from audit.evidence.reparametrization import gather_reparametrization
from audit.evidence.repeatability import gather_repeatability
from audit.evidence.rung_faithfulness import gather_rung_faithfulness
from audit.evidence.text_specificity import gather_text_specificity
from audit.evidence.traces import gather_trace
from audit.result.schema import Failure
from audit.trace import records

_GATHERING = "gathering "


@dataclass(frozen=True)
class Gatherer:
    """How one kind of evidence is gathered.

    Attributes:
        gather: from the context and what was gathered before.
        after: kinds that it needs.
        limits: names of the limits of the checks that judge this kind by which its gatherer decides
            what to look at more closely; they are in `Context.limits`.
    """

    gather: Callable[[Context, Evidence], Any]
    after: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def _executed(context: Context, evidence: Evidence) -> Executed:
    assert evidence.reference is not None and evidence.trace is not None  # noqa: S101, PT018
    if _is_the_model(evidence.trace):
        return executed_is_model(evidence.reference)
    return gather_executed(context, evidence.reference)


def _is_the_model(trace: TraceEvidence) -> bool:
    """Every explained scalar is the model's, so that asking again would repeat the reference."""
    scalars = [s for t in trace.traces for s in t.scalars]
    return bool(scalars) and all(s.clean and s.of_pair for s in scalars)


def executed_is_model(reference: Reference) -> Executed:
    """What the explainer executes is the model itself: its answers are the reference."""
    import numpy as np

    classes = np.broadcast_to(np.arange(len(reference.classes)), reference.cosine.shape)
    return Executed(
        "model", classes.copy(), reference.cosine, reference.correct, reference.correct, 0.0
    )


GATHERERS: dict[str, Gatherer] = {
    "reference": Gatherer(lambda c, _: gather_reference(c)),
    "trace": Gatherer(lambda c, _: gather_trace(c)),
    "explanations": Gatherer(lambda c, _: gather_explanations(c)),
    "reparametrization": Gatherer(
        lambda c, _: gather_reparametrization(c), limits=("relative_change", "noise_factor")
    ),
    "randomization": Gatherer(lambda c, _: gather_randomization(c)),
    "effects": Gatherer(
        lambda c, e: gather_effects(c, typing.cast("Any", e.explanations)), ("explanations",)
    ),
    "repeatability": Gatherer(lambda c, _: gather_repeatability(c)),
    "executed": Gatherer(_executed, ("reference", "trace")),
    "relatives": Gatherer(
        lambda c, e: gather_relatives(c, typing.cast("Any", e.explanations)), ("explanations",)
    ),
    "faithfulness": Gatherer(
        lambda c, e: gather_faithfulness(c, typing.cast("Any", e.explanations)), ("explanations",)
    ),
    "ladder": Gatherer(
        lambda c, e: gather_ladder(
            c, typing.cast("Any", e.reference), typing.cast("Any", e.explanations)
        ),
        ("reference", "explanations"),
    ),
    "rung_faithfulness": Gatherer(
        lambda c, e: gather_rung_faithfulness(
            c,
            typing.cast("Any", e.reference),
            typing.cast("Any", e.explanations),
            typing.cast("Any", e.faithfulness),
            typing.cast("Any", e.ladder),
        ),
        ("reference", "explanations", "faithfulness", "ladder"),
    ),
    "other_models": Gatherer(
        lambda c, e: gather_other_models(
            c, typing.cast("Any", e.reference), typing.cast("Any", e.explanations)
        ),
        ("reference", "explanations"),
    ),
    "text_specificity": Gatherer(
        lambda c, e: gather_text_specificity(
            c, typing.cast("Any", e.reference), typing.cast("Any", e.explanations)
        ),
        ("reference", "explanations"),
    ),
}


@dataclass(frozen=True)
class Gathered:
    """Evidence, what failed, and how long each kind took."""

    evidence: Evidence
    failures: tuple[Failure, ...]
    seconds: dict[str, float]


def plan(needs: frozenset[str]) -> list[str]:
    """The kinds to gather, each after what it needs."""
    wanted: set[str] = set()

    def add(kind: str) -> None:
        for before in GATHERERS[kind].after:
            add(before)
        wanted.add(kind)

    for kind in needs:
        add(kind)
    return [kind for kind in GATHERERS if kind in wanted]


def gather(
    context: Context,
    needs: frozenset[str],
    folder: Path,
    key: str,
    *,
    resume: bool,
    given: Mapping[str, Any] | None = None,
) -> Gathered:
    """Gather all that is needed; a kind that fails does not stop the others.

    Args:
        context: what to work with.
        needs: kinds of evidence.
        folder: where finished evidence is kept.
        key: identifies model, data, explainer and settings; evidence of another key is not used.
        resume: use finished evidence of the same key.
        given: evidence by kind that is there already; it is not gathered.
    """
    given = given or {}
    evidence = dataclasses.replace(Evidence(roles=context.roles), **given)
    failures: list[Failure] = []
    seconds: dict[str, float] = {}
    same = resume and read_key(folder) == key
    if not same:
        _start(folder, key, context.roles)
    for kind in (k for k in plan(needs) if k not in given):
        started = perf_counter()
        found = store.load(folder, kind, _kind_class(kind)) if same else None
        if found is None and _missing(evidence, kind):
            continue
        if found is None:
            try:
                found = GATHERERS[kind].gather(context, evidence)
            except Exception as error:  # noqa: BLE001 - an explainer may raise anything
                failures.append(_failure(kind, error))
                continue
            store.save(folder, kind, found)
        evidence = dataclasses.replace(evidence, **{kind: found})
        seconds[kind] = perf_counter() - started
    return Gathered(evidence, tuple(failures), seconds)


def evidence_format() -> str:
    """Names and types of all that evidence is made of; evidence of another is gathered again."""
    parts = [c for c in (*vars(kinds).values(), *vars(records).values()) if isinstance(c, type)]
    found = {
        f"{c.__name__}.{f.name}: {f.type}"
        for c in parts
        if dataclasses.is_dataclass(c)
        for f in dataclasses.fields(c)
    }
    return "; ".join(sorted(found))


def load_evidence(folder: Path) -> Evidence:
    """Read saved evidence, to judge it again.

    Raises:
        store.StoreError: the folder holds none, or it is damaged.
    """
    roles = store.load(folder, "roles", Roles)
    if roles is None:
        raise store.StoreError(f"no evidence in '{folder}'; give the folder that holds roles.json")
    found = {kind: store.load(folder, kind, _kind_class(kind)) for kind in GATHERERS}
    return Evidence(roles=roles, **typing.cast("Any", found))


def read_key(folder: Path) -> str | None:
    """What the evidence in a folder belongs to."""
    path = folder / "key.json"
    try:
        return str(json.loads(path.read_text())["key"])
    except (OSError, ValueError, KeyError):
        return None


def _start(folder: Path, key: str, roles: Roles) -> None:
    for kind in GATHERERS:
        for suffix in ("json", "npz"):
            (folder / f"{kind}.{suffix}").unlink(missing_ok=True)
    store.save(folder, "roles", roles)
    (folder / "key.json").write_text(json.dumps({"key": key}))


def _missing(evidence: Evidence, kind: str) -> bool:
    return any(getattr(evidence, before) is None for before in GATHERERS[kind].after)


def _kind_class(kind: str) -> Any:
    hints = typing.get_type_hints(Evidence)
    return next(t for t in typing.get_args(hints[kind]) if t is not type(None))


def failed_kinds(failures: Iterable[Failure]) -> frozenset[str]:
    """The kinds that could not be gathered."""
    return frozenset(f.where.removeprefix(_GATHERING) for f in failures)


def _failure(kind: str, error: Exception) -> Failure:
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return Failure(
        where=f"{_GATHERING}{kind}",
        message=f"{type(error).__name__}: {error}"[:2000],
        traceback="".join(lines)[-8000:],
    )
