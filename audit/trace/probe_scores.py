"""Scores that no gradient is taken of: where features of picture and text meet.

Occlusion and its kin compare scores of many passes. A score whose features are not the model's is
noted here, with the passes behind it; so is one that is made of similarities of many tokens, such
as the largest of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from audit.trace.fingerprint import Prints
from audit.trace.frames import Frames, Place
from audit.trace.lineage import Lineage, union
from audit.trace.passes import Passes


@dataclass
class ProbedScore:
    """Scores of one line of the explainer that are not of the model's features.

    Attributes:
        number: place among those that are made of many, None for one made of features.
        lineage: of the first of them; of all of them where they are made of many.
        roots: numbers of the passes from a first layer behind all of them.
        alterations: numbers of the altered passes behind all of them.
        place: the explainer's line.
    """

    lineage: Lineage
    roots: frozenset[int]
    alterations: frozenset[int]
    place: Place
    number: int | None = None


class ProbeScores:
    """Notes scores.

    Args:
        passes: the runs.
        frames: finds the explainer's line.
    """

    def __init__(self, passes: Passes, frames: Frames) -> None:
        self.passes = passes
        self.frames = frames
        self.seen: dict[tuple[Place, frozenset[str]], ProbedScore] = {}
        self.reduced: dict[Place, ProbedScore] = {}

    def note(self, tensors: list[Tensor], lineage: Lineage) -> None:
        """A call whose result has this lineage, and whose operands are these."""
        if len({a.tower for a in lineage.anchors}) < 2 or not _tainted(lineage):
            return
        operands = [t for t in tensors if self._is_of_one_tower(t)]
        if len(operands) < 2 or not all(self._is_one_vector_each(t) for t in operands):
            return
        place, _ = self.frames.caller()
        roots = self.passes.runs.roots_of([a.run for a in lineage.anchors])
        first = self.seen.setdefault(
            (place, lineage.params), ProbedScore(lineage, roots, lineage.alterations, place)
        )
        first.roots |= roots
        first.alterations |= lineage.alterations

    def cut(self, t: Tensor, tensors: list[Tensor], lineage: Lineage) -> Lineage:
        """The lineage of a result: a score of its own where it makes one of many for a picture.

        What has a feature of a picture behind it as well is a score already: one that weighs inner
        states, as Score-CAM does, makes a map of them.
        """
        towers = {a.tower for a in lineage.anchors}
        if len(towers) < 2 or lineage.scalars or not _tainted(lineage):
            return lineage
        if any(a.tower == "image" and a.terminal for a in lineage.anchors):
            return lineage
        roots = self.passes.runs.roots_of([a.run for a in lineage.anchors])
        if t.numel() > self._rows(roots) or not any(self._is_many(s, t.numel()) for s in tensors):
            return lineage
        place, _ = self.frames.caller()
        new = ProbedScore(lineage, roots, lineage.alterations, place, len(self.reduced))
        score = self.reduced.setdefault(place, new)
        score.lineage = union([score.lineage, lineage])
        score.roots |= roots
        score.alterations |= lineage.alterations
        return Lineage(scores=frozenset({score.number or 0}))

    def whole(self, lineage: Lineage) -> Lineage:
        """A lineage with what its scores descend from."""
        if not lineage.scores:
            return lineage
        scores = list(self.reduced.values())
        parts = [scores[number].lineage for number in sorted(lineage.scores)]
        return union([replace(lineage, scores=frozenset()), *parts])

    def inputs_behind(self, score: ProbedScore) -> list[Prints]:
        """Fingerprints of the pictures and texts behind scores."""
        return [e.prints for e in self.passes.entries if e.run in score.roots]

    def _is_of_one_tower(self, t: Tensor) -> bool:
        lineage = self.passes.lineages.get(t)
        return len({a.tower for a in lineage.anchors}) == 1

    def _is_one_vector_each(self, t: Tensor) -> bool:
        """One feature for each picture or text, not one for each token."""
        lineage = self.passes.lineages.get(t)
        roots = self.passes.runs.roots_of([a.run for a in lineage.anchors])
        return t.numel() <= self._rows(roots) * self.passes.feature_width

    def _rows(self, roots: frozenset[int]) -> int:
        """How many pictures or texts are behind runs."""
        rows = sum(e.shape[0] for e in self.passes.entries if e.run in roots)
        return max(rows, sum(self.passes.runs[r].given for r in roots))

    def _is_many(self, t: Tensor, fewer: int) -> bool:
        """Similarities of both towers, more than there are scores made of them."""
        anchors = self.passes.lineages.get(t).anchors
        return len({a.tower for a in anchors}) > 1 and t.numel() > fewer


def _tainted(lineage: Lineage) -> bool:
    """Whether features are not the model's for another reason than a probe on the way."""
    probed = lineage.alterations or lineage.events
    return bool(
        not all(a.terminal for a in lineage.anchors)
        or lineage.foreign
        or lineage.surrogates
        or (lineage.params and not probed)
    )
