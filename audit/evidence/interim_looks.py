"""Looks at evidence of more and more pairs: measured when asked for, or saved."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.evidence.context import Context
from audit.evidence.joining import PER_PAIR, joined
from audit.evidence.kinds import Evidence, Ladder
from audit.evidence.plan import (
    GATHERERS,
    Gathered,
    failed_kinds,
    gather,
    load_evidence,
    plan,
    read_key,
)
from audit.statistics.spending import look_sizes

PLAN = "looks.json"
ALWAYS = frozenset({"reference", "explanations", "equivalences"})
_LEAST_PROBED = 8
_LOOK = "look-"
FIRST_LOOK = f"{_LOOK}1"


@dataclass(frozen=True)
class Looks:
    """Evidence of more and more pairs.

    Attributes:
        pairs: at each look that was planned.
        at: the evidence of some kinds at a look (the first is 1), measured on all its pairs.
        lacking: which of some kinds are not to be had at a look.
    """

    pairs: Sequence[int]
    at: Callable[[int, frozenset[str]], Gathered]
    lacking: Callable[[int, frozenset[str]], frozenset[str]] = lambda *_: frozenset()


def measured_looks(context: Context, folder: Path, key: str, *, resume: bool) -> Looks:
    """Looks that measure what is asked for; each kind is measured once on each pair.

    Args:
        context: with all pairs of the budget.
        folder: each block of pairs keeps its evidence in a folder of its own there.
        key: identifies model, data, explainer and settings.
        resume: use finished evidence of the same key.
    """
    sizes, contexts = _contexts(context)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_text(json.dumps({"pairs": sizes}))
    parts: dict[int, Gathered] = {}

    def at(number: int, wanted: frozenset[str]) -> Gathered:
        wanted |= context.kinds_beside
        for block, own in enumerate(contexts[:number], 1):
            have, place = parts.get(block), folder / f"{_LOOK}{block}"
            given, asked = _given(parts, block), wanted if block == 1 else wanted & PER_PAIR
            new = frozenset(kind for kind in plan(asked) if kind not in given)
            if have is None or new:
                again = resume or have is not None
                ladder = parts[1].evidence.ladder if 1 in parts else None
                rungs = _with_rungs(own, ladder)
                found = gather(rungs, new, place, f"{key}-{block}", resume=again, given=given)
                parts[block] = found if have is None else _added(have, found)
        return _joined([parts[block] for block in range(1, number + 1)], wanted)

    return Looks(sizes, at)


def _contexts(context: Context) -> tuple[list[int], list[Context]]:
    """The number of pairs at each look, and the context of what each adds."""
    blocks = cluster_blocks(context.pairs.cluster.numpy(), look_sizes(len(context.pairs)))
    sizes = np.cumsum([len(block) for block in blocks]).tolist()
    least = 1 if context.pairs.masks is not None else _LEAST_PROBED
    return sizes, [
        dataclasses.replace(
            context,
            pairs=context.pairs.select(block),
            sizes=dataclasses.replace(context.sizes, probed=probes),
            part_of_chosen=part,
        )
        for block, probes, part in zip(
            blocks,
            probed_at_looks(context.sizes.probed, sizes, least),
            itertools.pairwise([0.0, *(size / sizes[-1] for size in sizes)]),
            strict=True,
        )
    ]


def at_place(context: Context, folder: Path, place: str) -> tuple[Context, Evidence]:
    """The context of a place of evidence, and what was gathered there by now.

    Args:
        context: with all pairs of the budget.
        folder: of the evidence.
        place: the name of a look's folder in it; empty for the folder itself.
    """
    if not place:
        return context, load_evidence(folder)
    number = int(place.removeprefix(_LOOK))
    first = load_evidence(folder / FIRST_LOOK)
    own = _contexts(context)[1][number - 1]
    if number == 1:
        return own, first
    of_all = {k: getattr(first, k) for k in GATHERERS if k not in PER_PAIR}
    return _with_rungs(own, first.ladder), dataclasses.replace(
        load_evidence(folder / place), **of_all
    )


def place_of(folder: Path) -> tuple[Path, str]:
    """The folder of all evidence, and the place in it, of a folder that evidence is gathered in."""
    look = folder.name.startswith(_LOOK)
    return (folder.parent, folder.name) if look else (folder, "")


def one_look(context: Context, folder: Path, key: str, *, resume: bool) -> Looks:
    """All pairs at once: kinds that are asked for later are measured then, and no kind twice."""
    have: dict[int, Gathered] = {}

    def at(number: int, wanted: frozenset[str]) -> Gathered:
        given = _given(have, 1) if have else {}
        wanted |= context.kinds_beside
        new = frozenset(kind for kind in plan(wanted) if kind not in given)
        if not have or new:
            again = resume or bool(have)
            found = gather(context, new, folder, key, resume=again, given=given)
            have[number] = _added(have[number], found) if have else found
        return have[number]

    return Looks((len(context.pairs),), at)


def probed_at_looks(most: int, sizes: Sequence[int], least: int = 1) -> list[int]:
    """Pairs whose faithfulness is measured anew at each look, ``most`` in all at the budget.

    In proportion to the pairs, so that a look costs no more a pair than a fixed sample does:
    faithfulness takes most of the passes.

    Args:
        most: at the budget.
        sizes: pairs at each look.
        least: at the first look, where it has that many pairs, and half of it at each later one;
            more where faithfulness decides, since two or three pairs are no evidence.
    """
    total = [min(math.ceil(most * size / sizes[-1]), size) for size in sizes]
    new = [b - a for a, b in itertools.pairwise([0, *sizes])]
    parts = [b - a for a, b in itertools.pairwise([0, *total])]
    at_least = [least, *itertools.repeat(math.ceil(least / 2), len(sizes) - 1)]
    return [
        max(part, min(few, block)) for part, few, block in zip(parts, at_least, new, strict=True)
    ]


def saved_looks(folder: Path, failed: frozenset[str] = frozenset()) -> Looks:
    """The finished looks of an audit that was taken in looks.

    Args:
        folder: of the evidence.
        failed: kinds that could not be gathered; where one is not there, that is why.
    """
    load = functools.cache(load_evidence)

    def places(number: int) -> list[Path]:
        return [folder / f"{_LOOK}{block}" for block in range(1, number + 1)]

    def at(number: int, wanted: frozenset[str]) -> Gathered:
        return _joined([Gathered(load(place), (), {}) for place in places(number)], wanted)

    def lacking(number: int, wanted: frozenset[str]) -> frozenset[str]:
        """What was never measured: interrupted, or other thresholds ask for more."""
        asked, found = frozenset(plan(wanted)) & PER_PAIR, places(number)
        if not all(_of_one_audit(found[0], place, i) for i, place in enumerate(found, 1)):
            return asked
        there = [_kinds(load(place)) for place in found]
        return (asked & there[0]) - frozenset.intersection(*there) - failed

    pairs = json.loads((folder / PLAN).read_text())["pairs"]
    return Looks([int(n) for n in pairs], at, lacking)


def audit_key(folder: Path) -> str:
    """What the evidence in a folder belongs to, taken in looks or at once; empty where unknown."""
    if not (folder / PLAN).is_file():
        return read_key(folder) or ""
    return (read_key(folder / FIRST_LOOK) or "").removesuffix("-1")


def forget_looks(folder: Path) -> None:
    """Before evidence is gathered at once: what was planned in looks holds no more."""
    (folder / PLAN).unlink(missing_ok=True)


def cluster_blocks(cluster: Any, sizes: Sequence[int]) -> list[list[int]]:
    """Pairs in blocks that end near the given sizes, all pairs of a cluster in one block."""
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], append=-1)) + 1
    nearest = np.minimum(np.searchsorted(starts, np.array(sizes)), len(starts) - 1)
    ends = np.unique(starts[nearest]).tolist()
    return [order[a:b].tolist() for a, b in itertools.pairwise([0, *ends])]


def _given(parts: Mapping[int, Gathered], block: int) -> dict[str, Any]:
    """What a block has, None for what failed; what is measured once for all is in the first."""
    given: dict[str, Any] = {}
    for source in {1, block} & parts.keys():
        part = parts[source]
        known = dict.fromkeys(failed_kinds(part.failures)) | {
            k: getattr(part.evidence, k) for k in _kinds(part.evidence)
        }
        given |= {k: v for k, v in known.items() if source == block or k not in PER_PAIR}
    if block > 1:
        given |= {k: given.get(k) for k in GATHERERS if k not in PER_PAIR}
    return given


def _kinds(evidence: Evidence) -> frozenset[str]:
    return frozenset(kind for kind in GATHERERS if getattr(evidence, kind) is not None)


def _with_rungs(context: Context, ladder: Ladder | None) -> Context:
    """All blocks climb the ladder of the first."""
    return dataclasses.replace(context, rungs=ladder.rungs) if ladder else context


def _added(have: Gathered, found: Gathered) -> Gathered:
    seconds = {**have.seconds, **found.seconds}
    reused = (*have.reused, *found.reused)
    return Gathered(found.evidence, (*have.failures, *found.failures), seconds, reused)


def _joined(parts: Sequence[Gathered], wanted: frozenset[str]) -> Gathered:
    """What was asked for, of all blocks as of one."""
    hidden: dict[str, Any] = dict.fromkeys(PER_PAIR - frozenset(plan(wanted)))
    shown = [dataclasses.replace(part.evidence, **hidden) for part in parts]
    seconds: dict[str, float] = {}
    for part in parts:
        for kind, spent in part.seconds.items():
            seconds[kind] = seconds.get(kind, 0.0) + spent
    failures = tuple(failure for part in parts for failure in part.failures)
    reused = tuple(dict.fromkeys(kind for part in parts for kind in part.reused))
    return Gathered(functools.reduce(joined, shown), failures, seconds, reused)


def _of_one_audit(first: Path, place: Path, number: int) -> bool:
    """Whether a look was begun, and by the audit of the first one.

    What an earlier audit left behind is no evidence.
    """
    if not (place / "roles.json").is_file():
        return False
    one, own = read_key(first), read_key(place)
    if one is None or own is None:
        return number == 1
    return own.removesuffix(f"-{number}") == one.removesuffix("-1")
