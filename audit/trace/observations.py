"""What a recorder notes while an explainer runs; turned into records when it has returned."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from audit.models.transformer_block import TowerName
from audit.trace.fingerprint import Prints
from audit.trace.frames import Place
from audit.trace.lineage import Lineage
from audit.trace.precision import Precision


@dataclass
class Expected:
    """The model's attention of the pooled token of each row.

    Attributes:
        rows: of it, (b, heads, t).
        pooled: its place, (b,).
        hidden: which token the mask hides from which, (t, t); None where there is no mask.
    """

    rows: Tensor
    pooled: Tensor
    hidden: Tensor | None = None


@dataclass
class Run:
    """A pass from the first layer, or from where altered values entered.

    Attributes:
        tower: which tower.
        number: place among the runs.
        inherits: what deviates upstream of where it starts.
        tokens: token ids of a text run, for the pooled position.
        roots: numbers of the runs from a first layer that it comes from.
        precision: how the model computes it.
        given: whether it is of the pair's own picture or text.
        inputs: the picture or token ids, where gradients may be taken by them.
        blocks: blocks whose states are registered, all of them.
        borders: whether at least what enters and leaves every block is.
        attention: per block, what attention the model has there.
        features: what the model makes of it, (b, e).
        outputs: what the model's own call gives, where features are computed of that.
    """

    tower: TowerName
    number: int
    inherits: Lineage
    tokens: Tensor | None
    roots: frozenset[int]
    precision: Precision
    given: bool = False
    inputs: Tensor | None = None
    blocks: set[int] = field(default_factory=set)
    borders: bool = False
    attention: dict[int, Expected] = field(default_factory=dict)
    features: Tensor | None = None
    outputs: Tensor | None = None


@dataclass
class Entry:
    """What entered a first layer.

    Attributes:
        tower: which tower.
        run: number of the run that it starts.
        shape: of all of it.
        given: how many rows are the pair's own.
        difference: least mean absolute difference of a row to the pair's own, infinite where the
            shapes differ.
        prints: fingerprints of its rows.
        sample: some of its rows, None where they were let go.
        place: the explainer's line.
    """

    tower: TowerName
    run: int
    shape: tuple[int, ...]
    given: int
    difference: float
    prints: Prints
    sample: Tensor | None
    place: Place


@dataclass
class ScalarSeen:
    """A tensor that was differentiated.

    Attributes:
        value: its values.
        lineage: where they come from.
        place: the explainer's line.
    """

    value: Tensor
    lineage: Lineage
    place: Place


@dataclass
class AttentionSeen:
    """An attention call that differs from the model's.

    Attributes:
        tower: which tower.
        block: the block whose queries and keys it used.
        operation: the torch function.
        heads: heads that it had, 0 where the shape does not tell.
        executed: the pooled token's attention, (b, heads, t or t − 1); None where shapes forbid.
        model: the model's on the same input, (b, heads, t).
        hidden: the share of all its attention that goes where the model's mask lets nothing pass.
        prints: fingerprints of its rows.
        inside_model: True where the model's own code made the call.
        place: the explainer's line.
    """

    tower: TowerName
    block: int
    operation: str
    heads: int
    executed: Tensor | None
    model: Tensor | None
    hidden: float
    prints: Prints
    inside_model: bool
    place: Place


@dataclass
class AlterationSeen:
    """Values that are not the model's, at the entrance of a block or of the final norm.

    Attributes:
        tower: which tower.
        block: the block that they entered; the number of blocks for the final norm.
        lineage: where they come from.
        surrogate: True where they are a state of the model, though not the one that belongs here.
        patched: True where each token is one that the model itself gives to this place.
        prints: fingerprints of their rows.
        sample: the values, None where they were let go.
        place: the explainer's line.
    """

    tower: TowerName
    block: int
    lineage: Lineage
    surrogate: bool
    patched: bool
    prints: Prints
    sample: Tensor | None
    place: Place
