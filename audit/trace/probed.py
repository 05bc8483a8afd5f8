"""Scores that no gradient is taken of: where features of picture and text meet.

Occlusion and its kin compare scores of many passes. A score whose features are not the model's is
noted here, with the passes behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from audit.trace.fingerprint import Prints
from audit.trace.frames import Frames, Place
from audit.trace.lineage import EMPTY, Lineage
from audit.trace.passes import Passes


@dataclass
class ProbedScore:
    """Scores of one line of the explainer that are not of the model's features.

    Attributes:
        lineage: of the first of them.
        roots: numbers of the passes from a first layer behind all of them.
        alterations: numbers of the altered passes behind all of them.
        place: the explainer's line.
    """

    lineage: Lineage
    roots: frozenset[int]
    alterations: frozenset[int]
    place: Place


class ProbedScores:
    """Notes scores.

    Args:
        passes: the runs.
        frames: finds the explainer's line.
    """

    def __init__(self, passes: Passes, frames: Frames) -> None:
        self.passes = passes
        self.frames = frames
        self.seen: dict[tuple[Place, frozenset[str]], ProbedScore] = {}

    def note(self, tensors: list[Tensor], lineage: Lineage) -> None:
        """A call whose result has this lineage, and whose operands are these."""
        if len({a.tower for a in lineage.anchors}) < 2 or not _tainted(lineage):
            return
        operands = [t for t in tensors if self._is_of_one_tower(t)]
        if len(operands) < 2 or not all(self._is_one_vector_each(t) for t in operands):
            return
        place, _ = self.frames.caller()
        roots = self.passes.roots_of([a.run for a in lineage.anchors])
        first = self.seen.setdefault(
            (place, lineage.params), ProbedScore(lineage, roots, lineage.alterations, place)
        )
        first.roots |= roots
        first.alterations |= lineage.alterations

    def inputs_behind(self, score: ProbedScore) -> list[Prints]:
        """Fingerprints of the pictures and texts behind scores."""
        return [e.prints for e in self.passes.entries if e.run in score.roots]

    def _is_of_one_tower(self, t: Tensor) -> bool:
        lineage = self.passes.lineages.get(t, EMPTY)
        return len({a.tower for a in lineage.anchors}) == 1

    def _is_one_vector_each(self, t: Tensor) -> bool:
        """One feature for each picture or text, not one for each token."""
        lineage = self.passes.lineages.get(t, EMPTY)
        roots = self.passes.roots_of([a.run for a in lineage.anchors])
        given = [r for r in roots if r < 2]
        rows = sum(e.shape[0] for e in self.passes.entries if e.run in roots)
        return t.numel() <= max(rows, len(given)) * self.passes.feature_width


def _tainted(lineage: Lineage) -> bool:
    """Whether features are not the model's for another reason than a probe on the way."""
    probed = lineage.alterations or lineage.events
    return bool(
        not all(a.terminal for a in lineage.anchors)
        or lineage.foreign
        or lineage.surrogates
        or (lineage.params and not probed)
    )
