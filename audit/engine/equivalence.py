"""Which explainers draw the same maps? A numerical question, asked on many pairs and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from audit.config.settings import Settings
from audit.data.pairs import Pairs
from audit.engine import supervision
from audit.engine.context_building import (
    load_audited_explainer,
    load_audited_model,
    load_pairs,
)
from audit.engine.early_look import expect_known
from audit.engine.explainer_families import Equivalence, Pairing, equivalence_of
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job, UnsupervisableError
from audit.evidence.exact_models import (
    compared_maps,
    explains_tokens,
    in_double_precision,
    with_drawn_weights,
)
from audit.evidence.explained_copies import own_copy
from audit.explainers.binding import bound
from audit.explainers.contract import Explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.registry import given_explainer, load_explainer
from audit.models.model_under_audit import ModelUnderAudit

JOB = "audit.engine.equivalence:compared"
Drawn = Mapping[str, tuple[bool, Tensor]]
"""By explainer, whether its maps are of tokens, and the maps, a row a pair."""


def compare_explainers(
    settings: Settings,
    others: Sequence[str],
    live: LiveObjects = NOTHING,
    *,
    subjects: Sequence[Mapping[str, object]] = ({},),
    supervise: bool = True,
) -> Equivalence:
    """Compare the maps of ``settings.explainer`` and other explainers, each with each.

    All run in double precision, on the models and, where only one is given, on one of its
    architecture with other weights too. They run in a process of their own, or in this one where
    what was given can go to no other.

    Args:
        settings: name the explainer, the model and the data.
        others: names of other explainers.
        live: objects in the place of names; ``other`` is the first of the others.
        subjects: what differs in the settings from model to model.
        supervise: False to run them in this process.

    Raises:
        ReportedError: what that process raised, such as for unknown names.
        WorkerEndedError: it ended without a result.
    """
    expect_known(settings, live, others[1:] if live.other else others)
    arguments = {
        "settings": settings.model_dump(mode="json"),
        "others": list(others),
        "subjects": [dict(subject) for subject in subjects],
    }
    limits = supervision.Limits(settings.timeout, settings.memory_bytes)
    if not supervise:
        return _compared(settings, others, subjects, live)
    try:
        job = Job(JOB, arguments, {"live": live} if live.any else {})
        return Equivalence.from_plain(supervision.supervised(job, limits, silent))
    except UnsupervisableError:
        return _compared(settings, others, subjects, live)


def compared(
    settings: dict[str, Any],
    others: Sequence[str],
    subjects: Sequence[Mapping[str, object]],
    board: StatusBoard,
    live: LiveObjects = NOTHING,
) -> dict[str, Any]:
    """The same in the worker process.

    Raises:
        ValueError: unknown names or settings (subclasses say which).
    """
    board.enter(f"comparing it with {', '.join(others)}")
    live.show_sources()
    return asdict(_compared(Settings.model_validate(settings), others, subjects, live))


def _compared(
    settings: Settings,
    others: Sequence[str],
    subjects: Sequence[Mapping[str, object]],
    live: LiveObjects,
) -> Equivalence:
    explainers = {settings.explainer: load_audited_explainer(settings, live)}
    for place, name in enumerate(others):
        own = live.other if place == 0 else None
        explainers[_free(name, explainers)] = (
            given_explainer(own, name) if own else load_explainer(name)
        )
    found: list[Drawn] = []
    pairs, left_out = 0, dict[str, str]()
    for subject in subjects:
        chosen = settings.model_copy(update=dict(subject))
        model = load_audited_model(chosen, live)
        data = load_pairs(chosen, model, live)
        pairs += len(data)
        for one in _models(model, data, settings.seed, few=len(subjects) == 1):
            drawn, lacking = _drawn(explainers, one, data)
            left_out |= lacking
            found.append(drawn)
    names = [name for name in explainers if name not in left_out]
    pairings = [
        Pairing.of(a, b, [(maps[a], maps[b]) for maps in found])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return equivalence_of(names, pairings, pairs, len(found), left_out)


def _free(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number where it was given before."""
    number = 1
    while (free := name if number == 1 else f"{name} ({number})") in taken:
        number += 1
    return free


def _models(
    model: ModelUnderAudit, pairs: Pairs, seed: int, *, few: bool
) -> list[tuple[ModelUnderAudit, ModelUnderAudit]]:
    """Models that are compared on, each in double precision and in its own."""
    exact = in_double_precision(model)
    found = [(exact, model)]
    if few:
        other = with_drawn_weights(exact, pairs, seed)
        found.append((other, with_drawn_weights(model, pairs, seed)))
    return found


def _drawn(
    explainers: Mapping[str, Explainer],
    models: tuple[ModelUnderAudit, ModelUnderAudit],
    pairs: Pairs,
) -> tuple[Drawn, dict[str, str]]:
    """Maps of all that can explain this model, and why the others cannot.

    Raises:
        NeedsHeadsError: fewer than two can.
    """
    found, lacking = dict[str, tuple[bool, Tensor]](), dict[str, str]()
    for name, explainer in explainers.items():
        try:
            met = bound(explainer, models[0], pairs.targets)
        except NeedsHeadsError as error:
            if len(explainers) - len(lacking) <= 2:
                raise
            lacking[name] = str(error)
            continue
        try:
            found[name] = _maps(met, models[0], pairs)
        except Exception:  # noqa: BLE001 - an explainer may know no double precision; its own error follows
            found[name] = _maps(bound(explainer, models[1], pairs.targets), models[1], pairs)
    return found, lacking


def _maps(explainer: Explainer, model: ModelUnderAudit, pairs: Pairs) -> tuple[bool, Tensor]:
    """Maps on a copy of the model, which the explainer may alter."""
    own = model.with_module(own_copy(model.module))
    tokens = explains_tokens(explainer, own, pairs)
    return tokens, compared_maps(explainer, own, pairs, tokens=tokens)
