"""What a trace says: plain values, saved as evidence and judged without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import InstanceOf

Array = InstanceOf[np.ndarray]


@dataclass(frozen=True)
class PassRecord:
    """Pictures or texts of one shape that entered the first layer of a tower.

    Attributes:
        tower: ``image`` or ``text``.
        shape: shape of what entered, all rows together.
        expected_shape: what the audit gave, for one row.
        rows: how many.
        given_rows: how many of them are the pair's own picture or text.
        distinct_rows: how many different ones.
        smallest_difference: least mean absolute difference of a row to the given picture, in
            normalized units (0 where it is the given one).
        surrounds_given: True where the rows are probes around the given picture or text.
        relevant: True where the explanation depends on them, or may.
        place: the explainer's line.
    """

    tower: str
    shape: tuple[int, ...]
    expected_shape: tuple[int, ...]
    rows: int
    given_rows: int
    distinct_rows: int
    smallest_difference: float
    surrounds_given: bool
    relevant: bool
    place: str


@dataclass(frozen=True)
class ScalarRecord:
    """A scalar whose gradient the explainer took, or scores that it returned.

    Attributes:
        values: its values (at most 64).
        source: ``gradient`` or ``returned``.
        clean: True where only features of the unmodified model are upstream.
        of_pair: True where the pair's own picture and text are among them.
        reasons: what else is upstream, in words.
        params: parameters that the explainer's own code applied on the way.
        block_params: those of them that belong to a block.
        of_model: True where anything of the model is upstream.
        relevant: True where the explanation depends on it, or may.
        nearest: name of the model's score that is nearest in value.
        error: absolute difference to it; None where no comparison by value is possible.
        place: the explainer's line.
        cause: the line of the first deviation upstream, empty where there is none.
    """

    values: tuple[float, ...]
    source: str
    clean: bool
    of_pair: bool
    reasons: tuple[str, ...]
    params: tuple[str, ...]
    of_model: bool
    relevant: bool
    nearest: str
    error: float | None
    place: str
    cause: str = ""
    block_params: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttentionRecord:
    """A call of attention that differs from the model's on the same input.

    Attributes:
        tower: ``image`` or ``text``.
        block: index of the block whose queries and keys it used.
        operation: the torch function.
        executed_heads: heads that it had, 0 where the shape does not tell.
        model_heads: the model's.
        divergence: mean total variation distance of the pooled token's attention (mean over
            heads) to the model's, in [0, 1]; None where shapes forbid.
        executed: the pooled token's attention as executed, mean over heads, over all tokens.
        model: the model's on the same input.
        inside_model: True where the model's own code made the call.
        variants: how many different ones were seen on the same input.
        surrounds_model: True where they are probes around the model's own attention, None where
            shapes forbid to tell.
        relevant: True where the explanation depends on it, or may.
        place: the explainer's line.
        where: the block in words.
        hidden: the share of all tokens' attention that goes where the model's mask hides others.
    """

    tower: str
    block: int
    operation: str
    executed_heads: int
    model_heads: int
    divergence: float | None
    executed: Array | None
    model: Array | None
    inside_model: bool
    variants: int
    surrounds_model: bool | None
    relevant: bool
    place: str
    where: str = ""
    hidden: float = 0.0


@dataclass(frozen=True)
class AlterationRecord:
    """Values that are not the model's and entered a block or the final norm.

    Attributes:
        tower: ``image`` or ``text``.
        block: the block that they entered; the number of blocks for the final norm.
        after: the last states of the model upstream, in words.
        params: parameters that the explainer's own code used since.
        surrogate: True where a state of the model other than the pooled one entered the final norm.
        variants: how many different ones were seen.
        surrounds_model: True where they are probes around the model's own values there, None where
            shapes forbid to tell.
        relevant: True where the explanation depends on it, or may.
        place: the explainer's line.
        where: the block in words.
        left_out: parts of the block before that they lack, in words.
        instead: what attends to what there, in words, where it is no query to keys.
        last: the block before in words.
    """

    tower: str
    block: int
    after: tuple[str, ...]
    params: tuple[str, ...]
    surrogate: bool
    variants: int
    surrounds_model: bool | None
    relevant: bool
    place: str
    where: str = ""
    left_out: tuple[str, ...] = ()
    instead: str = ""
    last: str = ""


@dataclass(frozen=True)
class ProbedScoreRecord:
    """Scores that are compared without a gradient, and whose features are not the model's.

    Attributes:
        reason: what they are, in words.
        probes: how many different pictures, texts or altered passes are behind them.
        relevant: True where the explanation depends on them, or may.
        place: the explainer's line.
    """

    reason: str
    probes: int
    relevant: bool
    place: str


@dataclass(frozen=True)
class GradientRecord:
    """A gradient by a state of the model that the explainer took.

    Attributes:
        by: the state, in words.
        own: whether it is the model's own.
        error: relative L2 difference to the model's, None where no shape is alike.
        rule: what made it otherwise, in words; empty where nothing is known.
        relevant: True where the explanation depends on it, or may.
        place: the explainer's line.
    """

    by: str
    own: bool
    error: float | None
    rule: str
    relevant: bool
    place: str


@dataclass(frozen=True)
class ParameterUse:
    """A parameter of the model used by the explainer's own code."""

    path: str
    place: str
    calls: int


@dataclass(frozen=True)
class ChangeRecord:
    """Something of the model that was not as before; see `audit.trace.integrity.Change`."""

    kind: str
    path: str
    what: str
    when: str
    altering: bool
    place: str


@dataclass(frozen=True)
class PairTrace:
    """Everything that one explanation of one pair executed.

    Attributes:
        pair: id of the pair.
        model_score: score of the pair by the unmodified model.
        passes: what entered the first layers.
        scalars: what was differentiated or returned as score.
        attention: attention calls that differ from the model's.
        attention_calls: attention calls seen in all.
        alterations: altered values that entered the model's blocks or final norm.
        foreign: places where values from nowhere were mixed into a feature.
        uses: parameters used by the explainer's own code.
        changes: what was altered in the model.
        copies: copies of the model that were run, and how they differ (empty where they do not).
        clean_features: True where the pair's own feature was computed as the model computes it.
        map_known: True where the lineage of the map could be followed.
        map_reasons: what besides the unmodified model the map descends from, in words.
        map_of_score: True where both the picture and the text are behind the map, or may be.
        map_of_pair: False where it is made of scores, and none is of the pair's own text.
        map_of_readout: True where it holds what inner states say of the text, and no score.
        map_of_gradient: False where no gradient is behind the map.
        probed_scores: scores without a gradient that are not of the model's features.
        unseen: why the map may come from what the trace could not see; empty where nothing says so.
        unknown_score: why the explained score may be another; empty where nothing says so.
        gradients: those that could be compared with the model's.
    """

    pair: str
    model_score: float
    passes: tuple[PassRecord, ...]
    scalars: tuple[ScalarRecord, ...]
    attention: tuple[AttentionRecord, ...]
    attention_calls: int
    alterations: tuple[AlterationRecord, ...]
    foreign: tuple[str, ...]
    uses: tuple[ParameterUse, ...]
    changes: tuple[ChangeRecord, ...]
    copies: tuple[str, ...]
    clean_features: bool
    map_known: bool
    map_reasons: tuple[str, ...]
    map_of_score: bool
    map_of_pair: bool = True
    map_of_readout: bool = False
    map_of_gradient: bool = True
    probed_scores: tuple[ProbedScoreRecord, ...] = ()
    unseen: str = ""
    unknown_score: str = ""
    gradients: tuple[GradientRecord, ...] = ()
