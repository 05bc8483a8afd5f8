"""The planner: gathers each kind of evidence once, in order, and keeps what is finished."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import traceback
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from audit.evidence import kinds, store
from audit.evidence.chosen_pairs import gather_chosen_pairs, gather_performance
from audit.evidence.class_pairs import gather_class_pairs
from audit.evidence.context import Context
from audit.evidence.cost import gather_costs
from audit.evidence.deadline import OutOfTimeError
from audit.evidence.effects import gather_effects
from audit.evidence.equivalences import gather_equivalences
from audit.evidence.executed import gather_executed
from audit.evidence.explained_towers import gather_explained_towers
from audit.evidence.explanations import gather_explanations
from audit.evidence.kinds import Evidence, Roles
from audit.evidence.ladder import gather_ladder
from audit.evidence.map_faithfulness import gather_faithfulness
from audit.evidence.map_quality import gather_map_quality
from audit.evidence.other_models import gather_other_models
from audit.evidence.randomization import gather_randomization
from audit.evidence.reference import gather_reference
from audit.evidence.reparametrization import gather_reparametrization
from audit.evidence.repeatability import gather_repeatability
from audit.evidence.rung_faithfulness import gather_rung_faithfulness
from audit.evidence.smaller_batches import forget_batches, in_batches_that_fit, resume_batches
from audit.evidence.tasks import forget_all
from audit.evidence.text_specificity import gather_text_specificity
from audit.evidence.traces import gather_trace
from audit.evidence.twin_maps import gather_twin_maps
from audit.result.schema import Failure
from audit.trace import records

_GATHERING = "gathering "
OF_MODEL = frozenset({"reference", "performance"})
"""Kinds that depend on model and data alone as a whole; of others only some tasks do."""

GATHERERS: dict[str, Callable[..., object]] = {
    "reference": gather_reference,
    "costs": gather_costs,
    "trace": gather_trace,
    "explanations": gather_explanations,
    "explained_towers": gather_explained_towers,
    "reparametrization": gather_reparametrization,
    "randomization": gather_randomization,
    "effects": gather_effects,
    "repeatability": gather_repeatability,
    "executed": gather_executed,
    "equivalences": gather_equivalences,
    "performance": gather_performance,
    "chosen_pairs": gather_chosen_pairs,
    "class_pairs": gather_class_pairs,
    "twin_maps": gather_twin_maps,
    "faithfulness": gather_faithfulness,
    "map_quality": gather_map_quality,
    "ladder": gather_ladder,
    "rung_faithfulness": gather_rung_faithfulness,
    "other_models": gather_other_models,
    "text_specificity": gather_text_specificity,
}
"""The gatherer of each kind, after those of the kinds that it needs.

The parameters of a gatherer name these kinds, after the context; one with a default is handed over
where it was gathered, and not gathered for it.
"""
GOES_BY: Mapping[str, tuple[str, ...]] = {
    "reparametrization": ("relative_change", "noise_factor"),
    "class_pairs": ("least_pairs", "least_classes"),
}
"""By kind, the limits of the checks that judge it by which its gatherer decides what to look at.

They reach the gatherer in `Context.limits`.
"""


@dataclass(frozen=True)
class Gathered:
    """Evidence, what failed, how long each kind took, and what an earlier audit had finished.

    ``reused`` names whole kinds, and kinds of which some tasks were finished.
    """

    evidence: Evidence
    failures: tuple[Failure, ...]
    seconds: dict[str, float]
    reused: tuple[str, ...] = ()


def plan(needs: frozenset[str]) -> list[str]:
    """The kinds to gather, each after what it needs."""
    wanted: set[str] = set()

    def add(kind: str) -> None:
        for before in _needs(kind):
            add(before)
        wanted.add(kind)

    for kind in needs:
        add(kind)
    return [kind for kind in GATHERERS if kind in wanted]


def gather_kind(kind: str, context: Context, evidence: Evidence) -> Any:
    """Gather one kind of evidence from the context and from what was gathered before."""
    gathered = {name: getattr(evidence, name) for name in _asked(kind)}
    measure = functools.partial(GATHERERS[kind], context, **gathered)
    if kind in OF_MODEL and context.tasks.shared is not None:
        return context.tasks.kept(kind, _kind_class(kind), measure, of_model=True)
    return measure()


def _asked(kind: str) -> dict[str, inspect.Parameter]:
    """The kinds that a gatherer asks for, by its parameters."""
    _, *asked = inspect.signature(GATHERERS[kind]).parameters.items()
    return dict(asked)


def _needs(kind: str) -> list[str]:
    """The kinds without which a gatherer cannot work."""
    return [name for name, one in _asked(kind).items() if one.default is one.empty]


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
    reused: list[str] = []
    same = resume and read_key(folder) == key
    if not same:
        _start(folder, key, context.roles)
    resume_batches(context.model, folder)
    wanted = [kind for kind in plan(needs) if kind not in given]
    context.tasks.ask(folder, [k for k in wanted if not (same and store.is_there(folder, k))])
    for kind in wanted:
        started = perf_counter()
        tasks = context.tasks.of(folder, kind)
        found = store.load_if_sound(folder, kind, _kind_class(kind)) if same else None
        if found is None and _missing(evidence, kind):
            continue
        if found is not None or tasks.any_kept():
            reused.append(kind)
        if found is None:
            context.began(kind)
            try:
                tasks.in_time()
                tasks = tasks.filled(folder, kind)
                ready = dataclasses.replace(context, tasks=tasks)
                work = functools.partial(gather_kind, kind, ready, evidence)
                found = in_batches_that_fit(context.model, context.batch_size, folder, work)
            except Exception as error:  # noqa: BLE001 - an explainer may raise anything
                failures.append(_failure(kind, error))
                continue
            context.tasks.before_saving()
            store.save(folder, kind, found)
        tasks.forget()
        evidence = dataclasses.replace(evidence, **{kind: found})
        seconds[kind] = perf_counter() - started
    return Gathered(evidence, tuple(failures), seconds, tuple(reused))


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
    found: dict[str, Any] = {k: store.load(folder, k, _kind_class(k)) for k in GATHERERS}
    return dataclasses.replace(Evidence(roles=roles), **found)


def read_key(folder: Path) -> str | None:
    """What the evidence in a folder belongs to."""
    path = folder / "key.json"
    try:
        return str(json.loads(path.read_text())["key"])
    except (OSError, ValueError, KeyError):
        return None


def _start(folder: Path, key: str, roles: Roles) -> None:
    forget_all(folder)
    forget_batches(folder)
    for kind in GATHERERS:
        for suffix in ("json", "npz"):
            (folder / f"{kind}.{suffix}").unlink(missing_ok=True)
    store.save(folder, "roles", roles)
    (folder / "key.json").write_text(json.dumps({"key": key}))


def _missing(evidence: Evidence, kind: str) -> bool:
    return any(getattr(evidence, before) is None for before in _needs(kind))


def _kind_class(kind: str) -> Any:
    hints = typing.get_type_hints(Evidence)
    return next(t for t in typing.get_args(hints[kind]) if t is not type(None))


def failed_kinds(failures: Iterable[Failure]) -> frozenset[str]:
    """The kinds that could not be gathered."""
    return frozenset(f.where.removeprefix(_GATHERING) for f in failures)


def _failure(kind: str, error: Exception) -> Failure:
    if isinstance(error, OutOfTimeError):
        return Failure(where=f"{_GATHERING}{kind}", message=str(error), traceback="")
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return Failure(
        where=f"{_GATHERING}{kind}",
        message=f"{type(error).__name__}: {error}"[:2000],
        traceback="".join(lines)[-8000:],
    )
