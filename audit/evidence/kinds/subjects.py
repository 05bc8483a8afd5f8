"""What the evidence is about: the explainers of an audit, and the model's own answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds.maps import AVERAGE_PRECISION
from audit.trace.records import Array

PAIR_PLACEHOLDER = "THE-PAIR"  # stands for the pair in `Roles.snippet`


@dataclass(frozen=True)
class Roles:
    """Names of the explainers of this audit.

    Attributes:
        audited: the one under audit.
        positive: faithful controls; a check that they fail cannot speak here.
        negative: controls that never look at the model.
        twin: the audited method without its modification, where it declares one.
        text_specific: False where the audited method declares that it ignores the text.
        model_free: True where the audited method declares that it never looks at the model.
        stochastic: True where it declares that two runs differ.
        command: the command line that runs this audit again.
        snippet: lines of Python that explain one pair, `PAIR_PLACEHOLDER` standing for its id.
        random_weights: True where the model's weights are random, as asked for.
        saved: True where the audited maps were drawn elsewhere, and nothing can be run anew.
        decides: the measure against masks that decides in principle 2.
        explains_text: True where the audited method declares that it explains the tokens of the
            text, so that its maps of the pictures say nothing.
    """

    audited: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    twin: str | None
    text_specific: bool
    model_free: bool
    stochastic: bool
    command: str = "audit check"
    snippet: str = ""
    random_weights: bool = False
    saved: bool = False
    decides: str = AVERAGE_PRECISION
    explains_text: bool = False


@dataclass(frozen=True)
class Reference:
    """The unmodified model's own answers.

    Attributes:
        ids: of the pairs.
        texts: of the pairs.
        classes: names.
        picture: picture of each pair, (pairs,).
        labels: class of each pair, (pairs,).
        present: classes that each picture shows, (pictures, classes).
        scores: score of each picture and class, (pictures, classes).
        masks: share of each patch that the object covers, (pairs, rows, columns), or None.
        image_blocks: number of blocks of the image tower, 0 where a trace knows none by number.
        text_blocks: of the text tower, 0 where there is none.
        image_grid: patch rows and columns.
        sets: set of grids of each pair, (pairs,); None where pictures are no grids.
        score_name: what the scores are: ``cosine`` of two towers, ``logit`` of a class head.
        balanced: whether positions tell nothing of the objects, by how the pictures are made.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    classes: tuple[str, ...]
    picture: Array
    labels: Array
    present: Array
    scores: Array
    masks: Array | None
    image_blocks: int = 0
    text_blocks: int = 0
    image_grid: tuple[int, int] = (0, 0)
    score_name: str = "cosine"
    balanced: bool = False
    sets: Array | None = None

    @property
    def cluster(self) -> Array:
        """What each pair is drawn, permuted and split with, (pairs,): its set, else its picture."""
        return self.picture if self.sets is None else self.sets

    @property
    def cluster_of_pictures(self) -> Array:
        """The cluster of each picture, (pictures,)."""
        found = np.arange(len(self.present))
        found[self.picture] = self.cluster
        return found

    @property
    def cluster_name(self) -> str:
        """What that is called."""
        return "picture" if self.sets is None else "set"

    @property
    def correct(self) -> Array:
        """Whether the best class of each picture is present in it, (pictures,)."""
        best = self.scores.argmax(1)
        return np.asarray(self.present[np.arange(len(best)), best])

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        return float(self.present.mean())

    @property
    def rivals(self) -> Array:
        """Score of the best class that the picture of each pair does not show, (pairs,).

        Where none is absent it is 1 less than the least score there is.
        """
        scores = self.scores[self.picture]
        absent = np.where(self.present[self.picture], scores.min() - 1.0, scores)
        return np.asarray(absent.max(1))

    @property
    def margins(self) -> Array:
        """Score of each pair's class minus that of the best one that its picture does not show.

        The model is right about a pair where this is above zero.
        """
        return np.asarray(self.scores[self.picture, self.labels] - self.rivals)
