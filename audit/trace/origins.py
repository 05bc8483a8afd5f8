"""Where tensors come from that no recorded operation made.

They hold a parameter, or a state of the model, or what left torch before, or a value that an
earlier call kept. Anything else that comes back after values of the model left is made of these, as
far as anybody can tell; and after another process was started, it may be anything.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.unwrapped_values import plain
from audit.trace.fingerprint import Prints, fingerprint, matches
from audit.trace.frames import Frames, Place
from audit.trace.lineage import EMPTY, Lineage, union
from audit.trace.parameter_values import ParameterValues, is_uniform

_EXACT = 1e-7  # what went out and comes back is the same to the last digit but one


@dataclass(frozen=True)
class Unknown:
    """Values of unknown origin.

    Attributes:
        place: where they enter.
        why: what makes it impossible to tell, in words.
        mixed: whether they were mixed into a feature.
    """

    place: Place
    why: str
    mixed: bool = False


class Origins:
    """Tells the lineage of tensors from outside.

    Args:
        parameters: the model's, by value.
        frames: finds the explainer's line.
    """

    def __init__(self, parameters: ParameterValues, frames: Frames) -> None:
        self.parameters = parameters
        self.frames = frames
        self.unknown: list[Unknown] = []
        self.left: dict[Lineage, None] = {}
        self.process: tuple[str, Place] | None = None
        self.earlier: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._gone: dict[int, list[tuple[Prints, Lineage]]] = defaultdict(list)
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def made(self, t: Tensor) -> None:
        """A recorded operation made this."""
        self._known[t] = True

    def is_made(self, t: Tensor) -> bool:
        """Whether a recorded operation made this, or it was looked at already."""
        return t in self._known

    def leaves(self, t: Tensor, lineage: Lineage) -> None:
        """Values leave torch."""
        self.left[lineage] = None
        if t.numel() > 1 and t.is_floating_point():
            self._gone[t.numel()].append((fingerprint(t.reshape(1, -1)), lineage))

    def starts(self, event: str) -> None:
        """Another process was started."""
        if self.process is None:
            place, _ = self.frames.caller()
            self.process = (event, place)

    def of(self, t: Tensor) -> Lineage:
        """The lineage of real numbers from outside that are neither a parameter nor a state."""
        if is_uniform(t):
            return EMPTY
        if t in self.earlier:
            kept: Lineage = self.earlier[t]
            return kept
        gone = self._gone.get(t.numel())
        if gone:
            own = fingerprint(plain(t).reshape(1, -1))
            for prints, left in reversed(gone):
                if matches(own, prints, _EXACT, np.ones(1, bool)).any():
                    known: Lineage = left
                    return known
        place, _ = self.frames.caller()
        lineage = union([*self.left, Lineage(outside=frozenset({str(place)}))])
        if self.process is None:
            return lineage
        event, started = self.process
        why = f"they enter after another process was started ({event}, {started})"
        return union([lineage, self.not_known(place, why)])

    def not_known(self, place: Place, why: str, *, mixed: bool = False) -> Lineage:
        """The lineage of values of which nobody can tell where they come from."""
        self.unknown.append(Unknown(place, why, mixed))
        return Lineage(unknown=frozenset({len(self.unknown) - 1}))
