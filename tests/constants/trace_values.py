"""Cases for the constants by which the trace recognizes values: moved by a known distance."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from audit.models.structure import Structure
from audit.trace import rounding
from audit.trace.feature_span import is_strange
from audit.trace.fingerprint import fingerprint, matches, needed_tolerance
from audit.trace.frames import Frames
from audit.trace.lineage import Anchor, Lineage
from audit.trace.map_origin import distinct_prints
from audit.trace.origins import Origins
from audit.trace.parameter_values import ParameterValues
from audit.trace.passes import Passes
from audit.trace.patched import TokenRows
from audit.trace.precision import Precision
from audit.trace.runs import Runs
from audit.trace.state_index import StateIndex
from audit.trace.text_choice import narrowed

STATE = Anchor("image", 1, "query", "all", 0)
PICTURE = Anchor("image", 2, "unit feature", "pooled", 0)
PRECISION = Precision(mock.MagicMock(spec=Structure), torch.float32, None)


def _values(count: int) -> Tensor:
    """Ones and their opposites, and a zero that a value may be put in the place of."""
    x = torch.ones(1, count, dtype=torch.float64)
    x[0, 1::2], x[0, 0] = -1, 0
    return x


def _moved(x: Tensor, tolerance: float) -> Tensor:
    """The same values up to such a tolerance, and no less: their sum is moved."""
    unit = x.clone()
    unit[0, 0] = 1e-6
    (needed,) = needed_tolerance(fingerprint(unit), fingerprint(x))
    moved = x.clone()
    moved[0, 0] = 1e-6 * tolerance / float(needed)
    return moved


def _sum_moved(by: float, count: int, tolerance: float = 1e-3) -> str:
    x = _values(count)
    moved = x.clone()
    moved[0, 0] = by * tolerance * float(x.norm())
    return "same" if matches(fingerprint(moved), fingerprint(x), tolerance).all() else "other"


def scattered(roundings: float) -> str:
    """A sum moved by so many roundings, each of another sign, and what all may have in common."""
    return _sum_moved(roundings + 0.05 * math.sqrt(4), 4)


def shared(share: float) -> str:
    """A sum moved by such a share of a rounding in each value, and what scatters."""
    return _sum_moved(2 + share * math.sqrt(10_000), 10_000)


def vanishing(size: float) -> str:
    """A value so small, beside nothing at all."""
    nothing = torch.zeros(1, 4, dtype=torch.float64)
    small = nothing.clone()
    small[0, 0] = size
    return "same" if matches(fingerprint(small), fingerprint(nothing), 1e-6).all() else "other"


def moved_in_roundings(times: float) -> str:
    """A state moved by so many times what the null control shows."""
    null, given = 1e-7, {"image": torch.zeros(1, 3, 8, 8)}
    with mock.patch.object(rounding, "between_steps", return_value=[("query", null)]):
        tolerance = rounding.Rounding(given).tolerance(PRECISION, "query")
    return _known(_values(64), _moved(_values(64), times * null), tolerance)


def _known(state: Tensor, found: Tensor, tolerance: float) -> str:
    index = StateIndex(frozenset(), lambda _: 0.0)
    index.add(STATE, state, tolerance)
    return "known" if index.find(found) else "unknown"


def reach_of_keys(tolerances: float) -> str:
    """A state whose key is moved by so many tolerances: almost all of it is one value's square."""
    state, tolerance = torch.tensor([[1.0, 0.01]], dtype=torch.float64), 1e-5
    moved = state.clone()
    moved[0, 0] += tolerances / 2 * tolerance
    return _known(state, moved, tolerance)


def rows_before_it_is_forgotten(count: int) -> str:
    """The first of so many rows of states."""
    index, batch = StateIndex(frozenset(), lambda _: 0.0), 10_000
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    for part in rows.split(batch):
        index.add(STATE, part, 1e-9)
    return "known" if index.find(rows[:1]) else "forgotten"


def came_back_changed_by(tolerance: float) -> str:
    """Values that left torch, and come back changed by so much."""
    origins = Origins(ParameterValues({}), Frames(nn.Identity()))
    origins.leaves(_values(64), Lineage(frozenset({STATE})))
    found = origins.of(_moved(_values(64), tolerance))
    return "other" if found.outside else "the same"


def part_of_a_parameter(parts: int) -> str:
    """One of so many equal parts of a parameter."""
    weight = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    found = ParameterValues({"in_proj_weight": weight}).path_of(weight.chunk(parts)[0])
    return "known" if found else "unknown"


def _patch(place: int) -> str:
    """A state that holds a token of the pass at a place among fifty."""
    rows = TokenRows()
    passes = torch.randn(50, 1, 5, 3, generator=torch.Generator().manual_seed(0))
    for one in passes:
        rows.add("image", 1, one)
    mixed = passes[0].clone()
    mixed[0, 2] = passes[place, 0, 2]
    return "a patch" if rows.compose("image", 1, mixed, 1e-6) else "altered"


def patched_from_an_early_pass(number: int) -> str:
    """A token of the first passes, counted from one."""
    return _patch(number - 1)


def patched_from_a_late_pass(number: int) -> str:
    """A token of the latest passes, counted from the end."""
    return _patch(-number)


def variants(difference: float) -> str:
    """Two inputs whose fingerprints differ by half of this, of the largest."""
    prints = np.ones((2, 9))
    prints[1] -= difference / 2
    return "one" if distinct_prints([prints]) == 1 else "two"


def _passes(texts: Tensor, picture: Tensor, tolerance: float) -> Passes:
    """What is known of a pass of a picture, the first run, and of one of texts."""
    passes = mock.MagicMock(spec=Passes)
    passes.runs, passes.classes, passes.lineages = Runs(), None, {}
    passes.feature_width = texts.shape[1]
    passes.of_features.return_value = tolerance
    passes.runs.new("image", Lineage(), None, frozenset(), PRECISION).features = picture
    tokens = torch.zeros(len(texts), 4, dtype=torch.long)
    passes.runs.new("text", Lineage(), tokens, frozenset(), PRECISION).features = texts
    return passes


def _chosen(t: Tensor, texts: Tensor, picture: Tensor, *, scores: bool, tolerance: float) -> str:
    """Whether values are told to be of fewer texts than were scored together."""
    passes = _passes(texts, picture, tolerance)
    text = Anchor("text", 2, "unit feature", "pooled", 1)
    lineage = Lineage(frozenset({text, PICTURE} if scores else {text}))
    return "all" if narrowed(t, lineage, passes, 1.0) == lineage else "chosen"


def off_a_texts_direction(distance: float) -> str:
    """A feature whose cosine with that of one of two texts is so far from one."""
    axes = torch.eye(4, dtype=torch.float64)
    cosine = 1 - distance
    feature = cosine * axes[:1] + math.sqrt(1 - cosine**2) * axes[2:3]
    return _chosen(feature, axes[:2], axes[:1], scores=False, tolerance=0.0)


def values_to_choose_by(count: int) -> str:
    """So many numbers, all in features of one of two texts."""
    width = 16
    axes = torch.eye(width, dtype=torch.float64)
    features = axes[:1].expand(count // width, -1)
    return _chosen(features, axes[:2], axes[:1], scores=False, tolerance=0.0)


def off_a_small_score(size: float) -> str:
    """A score as far from one of two, which are smaller still, as rounding moves one so large."""
    texts = torch.tensor([[0, 1, 0, 0], [-9e-4, 0, 1, 0]], dtype=torch.float64)
    picture = torch.tensor([[1, 0, 0, 0]], dtype=torch.float64)
    tolerance = 0.1
    score = torch.tensor([size * tolerance], dtype=torch.float64)
    return _chosen(score, texts, picture, scores=True, tolerance=tolerance)


def length_out_of_the_span(length: float) -> str:
    """A row so long that is in no direction of a feature, where nothing is rounded."""
    axes = torch.eye(4, dtype=torch.float64)
    passes = _passes(axes[:1], axes[:1], 0.0)
    row = length * axes[2:3]
    strange = is_strange("roll", row, [axes[:1]], Lineage(frozenset({PICTURE})), passes)
    return "strange" if strange else "nothing"
