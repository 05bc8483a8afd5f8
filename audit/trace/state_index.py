"""The index of known states: given any tensor, which states of the unmodified model is it?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from audit.trace.fingerprint import Prints, fingerprint, matches, row_views
from audit.trace.lineage import ORDERED_SITES, TERMINAL_SITES, Anchor

_MAX_ROWS = 200_000
_LATEST = 1024  # rows into which new ones are sorted as they come
_NOTHING = -1e6  # the key of a row of zeros, as a blank picture gives without a bias
_REACH = 8.0  # of keys, in tolerances: the most that both of their parts move by
_Site = tuple[str, int, str, str]


@dataclass
class _Shelf:
    """Known rows of one length, sorted when asked for: most of them once, the latest every time.

    Attributes:
        anchors: of the states, each once.
        tolerances: of each.
        prints: fingerprints of the rows of each state.
        owners: of each row of the prints the number of its state.
        rows: how many there are.
        table: the first of them, sorted.
        latest: the others, sorted, as far as they were asked for; None where there are none.
    """

    anchors: list[Anchor] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)
    prints: list[Prints] = field(default_factory=list)
    owners: list[np.ndarray] = field(default_factory=list)
    rows: int = 0
    table: _Table | None = None
    latest: _Table | None = None


@dataclass(frozen=True)
class _Table:
    """Rows of a shelf by their keys; of so many of its states from the first of them on."""

    states: int
    keys: np.ndarray
    prints: Prints
    owners: np.ndarray
    tolerances: np.ndarray
    ordered: np.ndarray


class StateIndex:
    """Recognizes states by the values of their rows.

    Args:
        heads: numbers of heads that layouts may merge into the batch.
        of_cast: what a cast of a state to a dtype adds to the tolerance.
    """

    def __init__(self, heads: frozenset[int], of_cast: Callable[[torch.dtype], float]) -> None:
        self.heads = heads
        self._of_cast = of_cast
        self._shelves: dict[int, _Shelf] = defaultdict(_Shelf)

    def add(self, anchor: Anchor, state: Tensor, tolerance: float) -> None:
        """Register a state, (rows, …).

        Args:
            anchor: what it is.
            state: its values.
            tolerance: relative error of a value that rounding explains here.
        """
        rows = state.reshape(len(state), -1)
        shelf = self._shelves[rows.shape[1]]
        shelf.owners.append(np.full(len(rows), len(shelf.anchors)))
        shelf.anchors.append(anchor)
        shelf.tolerances.append(tolerance)
        shelf.prints.append(fingerprint(rows))
        shelf.rows += len(rows)
        if shelf.rows > _MAX_ROWS:
            half = len(shelf.prints) // 2
            shelf.prints, shelf.owners = shelf.prints[half:], shelf.owners[half:]
            shelf.rows = sum(len(one) for one in shelf.prints)
            shelf.table = shelf.latest = None

    def find(self, x: Tensor) -> list[frozenset[Anchor]]:
        """States that hold every row of ``x``, one set per site and part; the likeliest first.

        Several sites may hold equal values, as the input of a fresh LayerNorm and its output.
        """
        if x.numel() == 0 or not x.is_floating_point():
            return []
        cast = self._of_cast(x.dtype)
        for rows in row_views(x, self.heads):
            if rows.shape[1] in self._shelves and rows.shape[1] > 1:
                found = self._find_rows(fingerprint(rows), rows.shape[1], cast)
                if found:
                    return found
        return []

    def _find_rows(self, prints: Prints, length: int, cast: float) -> list[frozenset[Anchor]]:
        shelf = self._shelves[length]
        tables = _sorted(shelf)
        keys = _keys(prints)
        places = [_reached(table, keys, cast) for table in tables]
        rows: dict[bytes, dict[_Site, set[Anchor]]] = {}  # rows alike are looked for once
        for row in range(len(prints)):
            known = prints[row].tobytes()
            if known in rows:
                continue
            here: dict[_Site, set[Anchor]] = defaultdict(set)
            if np.isfinite(keys[row]):
                for table, (low, high) in zip(tables, places, strict=True):
                    near = slice(low[row], high[row])
                    for number in _owners(table, near, prints[row : row + 1], cast):
                        anchor = shelf.anchors[number]
                        here[(anchor.tower, anchor.block, anchor.site, anchor.part)].add(anchor)
            if not here:
                return []
            rows[known] = here
        found = list(rows.values())
        sites = set.intersection(*(set(here) for here in found))
        ranked = sorted(sites, key=_likeliness, reverse=True)
        return [_fewest_runs([here[site] for here in found]) for site in ranked]


def _sorted(shelf: _Shelf) -> list[_Table]:
    if shelf.table is None or shelf.rows - len(shelf.table.keys) > _LATEST:
        shelf.table, shelf.latest = _table(shelf, 0), None
    known = shelf.table.states if shelf.latest is None else shelf.latest.states
    if known < len(shelf.prints):
        new = _table(shelf, known)
        shelf.latest = new if shelf.latest is None else _merged(shelf.latest, new)
    return [shelf.table] if shelf.latest is None else [shelf.table, shelf.latest]


def _merged(one: _Table, other: _Table) -> _Table:
    """Both in one, sorted; of rows alike the earlier first."""
    places = np.searchsorted(one.keys, other.keys, side="right")
    return _Table(
        other.states,
        np.insert(one.keys, places, other.keys),
        np.insert(one.prints, places, other.prints, axis=0),
        np.insert(one.owners, places, other.owners),
        np.insert(one.tolerances, places, other.tolerances),
        np.insert(one.ordered, places, other.ordered),
    )


def _table(shelf: _Shelf, first: int) -> _Table:
    prints, owners = np.concatenate(shelf.prints[first:]), np.concatenate(shelf.owners[first:])
    keys = _keys(prints)
    order = np.argsort(keys, kind="stable")
    owners = owners[order]
    start = int(owners.min())
    ordered = np.array([anchor.site in ORDERED_SITES for anchor in shelf.anchors[start:]])
    tolerances = np.array(shelf.tolerances[start:])
    return _Table(
        len(shelf.prints),
        keys[order],
        prints[order],
        owners,
        tolerances[owners - start],
        ordered[owners - start],
    )


def _reached(table: _Table, keys: np.ndarray, cast: float) -> tuple[np.ndarray, np.ndarray]:
    """First row whose key may be near to each of these, and the one behind the last."""
    reach = _REACH * max(float(table.tolerances.max(initial=0.0)), cast)
    return np.searchsorted(table.keys, keys - reach), np.searchsorted(table.keys, keys + reach)


def _owners(table: _Table, near: slice, prints: Prints, cast: float) -> np.ndarray:
    """Numbers of the states of which a row in reach is this one."""
    tolerances = np.maximum(table.tolerances[near], cast)
    hit = matches(prints, table.prints[near], tolerances, table.ordered[near])[0]
    return np.unique(table.owners[near][hit])


def _likeliness(site: _Site) -> tuple[bool, int, _Site]:
    return site[2] in TERMINAL_SITES, site[1], site


def _fewest_runs(rows: list[set[Anchor]]) -> frozenset[Anchor]:
    """One run that holds every row, the earliest, else the earliest run of each row."""
    common = set.intersection(*rows)
    if common:
        return frozenset({min(common)})
    return frozenset(min(row) for row in rows)


def _keys(prints: Prints) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        square, count = prints[:, 2], prints[:, 5]
        keys = np.log(square) + prints[:, 1] / np.sqrt(count * square)
    return np.where(square == 0, _NOTHING, np.where(np.isfinite(keys), keys, np.inf))
