"""Evidence of what interventions on the model, the picture or the batch do to the maps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.trace.records import Array


@dataclass(frozen=True)
class EditedMaps:
    """What one function-preserving edit did to the maps, and to the scores.

    Attributes:
        edit: its name.
        place: where it applies, in words.
        block: which block, or pair of layers, alone; None for an edit of all or of none.
        score_change: largest change of a score, of scores above 1 in units of the largest, which
            must lie within the tolerance.
        rank_correlation: Spearman of the maps before and after, (pairs,).
        relative_l2: length of the change over the length of the map, (pairs,).
        top_overlap: of the most relevant tenth of the patches, (pairs,).
        maps: on the edited model, (pairs, rows, columns).
        control: relative change of the input gradient, which no such edit can move, (some pairs,).
    """

    edit: str
    place: str
    block: int | None
    score_change: float
    rank_correlation: Array
    relative_l2: Array
    top_overlap: Array
    maps: Array
    control: Array


@dataclass(frozen=True)
class Reparametrization:
    """The audited maps on models with other weights and the same function.

    Attributes:
        pairs: indices of the pairs.
        maps: on an unedited copy, (pairs, rows, columns).
        noise: largest relative change of each pair's map between copies whose weights are equal up
            to a few roundings, the unedited copy itself among them, (pairs,).
        control_noise: the same of the control, (some pairs,).
        tolerance: change of a score that rounding explains.
        dtype: in which edits and maps were computed; half precision is up-cast.
        entries: the edits of whole towers, and of single blocks where those moved the map.
    """

    pairs: Array
    maps: Array
    noise: Array
    control_noise: Array
    tolerance: float
    dtype: str
    entries: tuple[EditedMaps, ...]


@dataclass(frozen=True)
class Randomization:
    """The maps while the model's parameters are drawn anew, from the top down.

    Attributes:
        pairs: indices of the pairs.
        stages: ``unmodified``, then what was drawn last; the last is the whole model.
        similarity: per explainer, absolute rank correlation with the map on the unmodified model,
            (stages, draws, pairs); 1 for equal constant maps, 0 where only one is constant.
        change: relative L2 change of the audited map at the last stage, (draws, pairs).
        reached: share of all parameters that the last stage has drawn anew, (draws,).
        unrelated: the same similarity between audited maps of different pictures.
        chance: the same similarity between audited maps and uniform random ones.
        maps: audited, on the unmodified model, (pairs, rows, columns).
        final_maps: audited, at the last stage of the first draw.
    """

    pairs: Array
    stages: tuple[str, ...]
    similarity: dict[str, Array]
    change: Array
    reached: Array
    unrelated: Array
    chance: Array
    maps: Array
    final_maps: Array


@dataclass(frozen=True)
class PatchEffects:
    """What removing windows of patches does to the unmodified model's score.

    Attributes:
        pairs: indices of the pairs.
        kinds: the two kinds of intervention.
        effects: drop of each pair's score by patch and kind, (kinds, pairs, rows, columns).
        agreement: per explainer, share of the effect that the map's top windows capture, 0 for a
            random and 1 for the best order, (kinds, pairs).
        unsigned_agreement: the same for the size of the effect, whatever its sign.
        ceiling: agreement of the other kind of intervention, taken as a map, (kinds, pairs).
        unsigned_ceiling: the same for the size of the effect.
        null_difference: largest difference of a feature when nothing, or everything, is patched.
        tolerance: the difference that rounding explains.
        note: what a reader should know of the kinds, a sentence or nothing.
        token_maps: the audited maps where they are of tokens, (pairs, 1, context); else empty. What
            is said of patches and windows then holds of the tokens of a text.
        faithful: faithful controls among the maps of tokens.
        model_free: maps of tokens that never look at the model.
    """

    pairs: Array
    kinds: tuple[str, ...]
    effects: Array
    agreement: dict[str, Array]
    unsigned_agreement: dict[str, Array]
    ceiling: Array
    unsigned_ceiling: Array
    null_difference: float
    tolerance: float
    note: str = ""
    token_maps: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    faithful: tuple[str, ...] = ()
    model_free: tuple[str, ...] = ()

    @property
    def of_tokens(self) -> bool:
        """Whether tokens of texts were removed, and not windows of pictures."""
        return len(self.token_maps) > 0

    @property
    def removed(self) -> str:
        """What was removed, in a word."""
        return "tokens" if self.of_tokens else "patches"


@dataclass(frozen=True)
class Repeatability:
    """The map of a pair alone, against its maps in other company and a second time.

    Attributes:
        pairs: indices of the pairs.
        conditions: what was different, in words; the first is the same call once more.
        relative_l2: change of the audited map, (conditions, pairs).
        largest: largest difference over the largest value of the map alone, (conditions, pairs).
        control: relative change of a faithful control, (conditions, pairs).
        repeats: what the explainer's own random numbers do: relative change from the pair alone to
            a second run, and to a batch of nothing but the pair itself, (repeats, pairs).
        noise: largest relative change of each pair's map between copies whose weights are equal up
            to a few roundings, (pairs,).
        resolution: the machine epsilon of the model's dtype.
        maps: audited, alone, (pairs, rows, columns).
        changed_maps: the same under each condition, (conditions, pairs, rows, columns).
    """

    pairs: Array
    conditions: tuple[str, ...]
    relative_l2: Array
    largest: Array
    control: Array
    repeats: Array
    noise: Array
    resolution: float
    maps: Array
    changed_maps: Array
