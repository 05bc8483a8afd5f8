"""The scores of the rungs of a ladder, side by side and each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.kinds import RungInfo
from audit.evidence.reference import class_scores


@dataclass(frozen=True)
class Step:
    """A rung of the ladder, and how its model is made."""

    info: RungInfo
    make: Callable[[], nn.Module]


class RungScores:
    """Class scores of rungs, (pictures, classes), each measured once.

    Those scored when their strength was chosen are not scored again.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, Tensor] = {}

    def of(self, steps: Sequence[Step], phase: str = "") -> list[Tensor]:
        """Of some rungs, in their order; ``phase`` is told."""
        new = {s.info.name: s for s in steps if s.info.name not in self._known}
        tasks = {f"scores of {n}": partial(self._measured, s) for n, s in new.items()}
        told = partial(self._context.progress, phase)
        found = self._context.tasks.all_drawn(
            tasks, lambda done: told(done, len(tasks)) if phase else None, of_model=True
        )
        self._known |= {n: one["scores"] for n, one in zip(new, found, strict=True)}
        return [self._known[step.info.name] for step in steps]

    def _measured(self, step: Step) -> dict[str, Tensor]:
        return {"scores": class_scores(self._context, step.make().eval())}
