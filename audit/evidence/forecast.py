"""What gathering evidence will cost: the gatherers themselves, with one task of those alike.

Everything has the size that it has in the audit, so that nothing is extrapolated but from one task
to others of the same work: from one edit to all, from one rung of the ladder to the next, from the
maps of one batch to those of another.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from audit.evidence import store
from audit.evidence.context import Context
from audit.evidence.counted_passes import Passes, passes_counted
from audit.evidence.kinds import Evidence
from audit.evidence.plan import gather_kind, plan
from audit.evidence.sampled_tasks import Cost, Sampled
from audit.evidence.tasks import Tasks


@dataclass(frozen=True)
class KindCost:
    """What a kind of evidence will cost.

    Attributes:
        kind: its name.
        forwards: passes of pictures through the image tower, by their multiplications.
        backwards: multiplications of backward passes, in those of such a forward pass.
        seconds: with one process.
        aside: seconds of it that several processes share.
        longest: seconds that they take at least, however many they are.
        bytes: on disk, once it is finished.
        failure: why nothing could be measured, or nothing.
    """

    kind: str
    forwards: float = 0.0
    backwards: float = 0.0
    seconds: float = 0.0
    aside: float = 0.0
    longest: float = 0.0
    bytes: int = 0
    failure: str = ""


def forecast(context: Context, needs: frozenset[str], folder: Path) -> Iterator[KindCost]:
    """The cost of each kind of evidence, in the order in which they are gathered.

    An edit is taken to move no map, so that no single blocks are looked at.

    Args:
        context: of the audit.
        needs: kinds of evidence.
        folder: an empty one, where evidence is kept to see its size.
    """
    limits = {kind: dict.fromkeys(names, math.inf) for kind, names in context.limits.items()}
    context = dataclasses.replace(context, limits=limits)
    evidence = Evidence(roles=context.roles)
    with passes_counted() as passes:
        unit = _of_a_picture(context, passes)
        for kind in plan(needs):
            context.began(kind)
            sampler = Sampled(passes, context.model.device)
            own = dataclasses.replace(context, tasks=Tasks(sampler=sampler))
            before = sampler.spent()
            try:
                found = gather_kind(kind, own, evidence)
                store.save(folder, kind, found)
            except Exception as error:  # noqa: BLE001 - an explainer may raise anything
                yield KindCost(kind, failure=f"{type(error).__name__}: {error}"[:500])
                continue
            evidence = dataclasses.replace(evidence, **{kind: found})
            yield _cost(kind, sampler.spent() - before, unit, folder)


def _of_a_picture(context: Context, passes: Passes) -> int:
    """Multiplications of one picture's features."""
    image, _ = context.pairs.batch(torch.tensor([0]), context.model.device, context.model.dtype)
    before = passes.forward
    with torch.no_grad():
        context.pristine_model.features(image)
    return max(1, passes.forward - before)


def _cost(kind: str, spent: Cost, unit: int, folder: Path) -> KindCost:
    size = sum(file.stat().st_size for file in folder.glob(f"{kind}.*"))
    return KindCost(
        kind,
        spent.forward / unit,
        spent.backward / unit,
        spent.seconds,
        spent.aside,
        spent.longest,
        size,
    )
