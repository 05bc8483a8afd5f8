"""Passes through the towers: what enters first layers and blocks, and the states that follow.

Values that the model itself gives to a block continue its run. Any others open a run that inherits
the deviation, and whose states are what the unmodified model makes of these values.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.anatomy import Anatomy, Tower, TowerName
from audit.models.unwrapped_values import plain
from audit.trace.anchors import AnchorIndex
from audit.trace.fingerprint import fingerprint
from audit.trace.frames import Place
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.seen import AlterationSeen, Entry, Expected, Run
from audit.trace.states import block_states, embedding_states, final_states

_ROWS_OF_AN_ENTRY = 24
_SAMPLES = 48


class Passes:
    """Runs of both towers and the index of their states.

    Args:
        anatomy: of a pristine copy.
        given: the pair's picture and token ids.
        lineages: of every tensor seen.
    """

    def __init__(
        self, anatomy: Anatomy, given: dict[TowerName, Tensor], lineages: WeakIdKeyDictionary
    ) -> None:
        self.anatomy = anatomy
        self.given = given
        self.lineages = lineages
        heads = frozenset(b.heads for t in (anatomy.image, anatomy.text) for b in t.blocks)
        self.dtype = next(anatomy.model.parameters()).dtype
        self.index = AnchorIndex(heads, self.dtype)
        self.runs: list[Run] = []
        self._chosen: dict[tuple[int, tuple[int, ...]], Run] = {}
        self.entries: list[Entry] = []
        self.alterations: list[AlterationSeen] = []
        for tower in (anatomy.image, anatomy.text):
            self._open(tower, given[tower.name], Lineage())
        for tower in (anatomy.image, anatomy.text):
            self._whole(tower)

    def find(self, t: Tensor) -> list[frozenset[Anchor]]:
        """States that a tensor equals."""
        return self.index.find(t)

    @property
    def feature_width(self) -> int:
        """Width of the features of both towers."""
        features = self.runs[0].features
        return -1 if features is None else int(features.shape[-1])

    def given_state(self, tower: Tower, block: int, *, pooled: bool = False) -> Tensor:
        """What the given picture or text gives to a block or to the final norm.

        Returns:
            (t, d), or (1, d) of the pooled token alone.
        """
        given = self.given[tower.name]
        with torch.no_grad():
            x = tower.run(tower.embed(given), 0, block)[0]
        return x[tower.pooled_index(given)] if pooled else x

    # -- first layers -----------------------------------------------------------------------------

    def enter_tower(self, tower: Tower, inputs: Tensor, place: Place) -> None:
        """Pictures or token ids reach a first layer."""
        given = self.given[tower.name]
        lineage = self.lineages.get(inputs, EMPTY)
        values = plain(inputs)
        if values.ndim > given.ndim:
            values = values.flatten(0, values.ndim - given.ndim)
        if values.ndim < given.ndim:
            values = values.unsqueeze(0)
        number = 0 if tower.name == "image" else 1
        equal, difference = 0, float("inf")
        if values.shape[1:] == given.shape[1:]:
            distance = (values.double() - given.double()).abs().flatten(1).mean(1)
            equal = int((distance <= _tolerance(values)).sum())
            difference = float(distance.min())
            exact = len(values) == 1 and torch.equal(values.to(given.dtype), given)
            if not exact:
                known = lineage if lineage.deviates else Lineage()
                number = self._open(tower, values, known).number
        entry = Entry(
            tower.name,
            number,
            tuple(values.shape),
            equal,
            difference,
            fingerprint(values.flatten(1).double()),
            _some_rows(values),
            place,
        )
        self.entries.append(entry)
        _thin([e for e in self.entries if e.tower == tower.name])

    def _open(self, tower: Tower, inputs: Tensor, inherits: Lineage) -> Run:
        tokens = inputs if tower.name == "text" else None
        run = self._new(tower, inherits, tokens, frozenset({len(self.runs)}))
        inputs = inputs.to(self.dtype) if inputs.is_floating_point() else inputs
        for site, part, state in embedding_states(tower, inputs):
            self.index.add(Anchor(tower.name, 0, site, part, run.number), state)
        return run

    def _whole(self, tower: Tower) -> None:
        """Register every state of the given input."""
        run = next(r for r in self.runs if r.tower == tower.name)
        x = tower.embed(self.given[tower.name])
        for block in tower.blocks:
            self._block(tower, block.index, x, run)
            x = block.run(x, tower.mask(x.shape[1]))
        self._final(tower, x, run)

    # -- blocks and final norm --------------------------------------------------------------------

    def enter_block(self, tower: Tower, index: int, x: Tensor, place: Place) -> None:
        """Values reach the first norm of a block, or the final norm."""
        fitting = [found for found in self.find(x) if self._fits(found, tower, index)]
        if fitting:
            numbers = sorted({a.run for a in fitting[0]})
            if all(index in self.runs[n].blocks for n in numbers):
                return
            run = self._continued(tower, numbers)
        else:
            run = self._altered(tower, index, x, place)
        tokens = self._tokens_first(tower, x, index)
        if tokens is None:
            return
        if index < len(tower.blocks):
            self._block(tower, index, tokens, run)
        else:
            self._final(tower, tokens, run)

    def _continued(self, tower: Tower, numbers: list[int]) -> Run:
        """The run of these states, or one that joins the runs of several rows."""
        if len(numbers) == 1:
            return self.runs[numbers[0]]
        runs = [self.runs[n] for n in numbers]
        inherits = union([run.inherits for run in runs])
        return self._new(tower, inherits, self._tokens_of(numbers), self.roots_of(numbers))

    def _fits(self, found: frozenset[Anchor], tower: Tower, index: int) -> bool:
        """Whether these are the tokens that the model itself gives to this norm."""
        sites = {(a.tower, a.block, a.site) for a in found}
        expected = {(tower.name, index, "input"), (tower.name, index - 1, "output")}
        parts = {"all", "pooled"} if index == len(tower.blocks) else {"all"}
        return sites <= expected and {a.part for a in found} <= parts

    def _altered(self, tower: Tower, index: int, x: Tensor, place: Place) -> Run:
        lineage = self.lineages.get(x, EMPTY)
        number = frozenset({len(self.alterations)})
        values = plain(x)
        final = index == len(tower.blocks)
        surrogate = final and self._is_surrogate(x, lineage)
        rows = values.reshape(len(values) if values.ndim == 3 or final else 1, -1)
        seen = AlterationSeen(
            tower.name, index, lineage, surrogate, fingerprint(rows), _some_rows(values), place
        )
        self.alterations.append(seen)
        alike = [a for a in self.alterations if (a.tower, a.block) == (tower.name, index)]
        _thin(alike)
        mark = Lineage(surrogates=number) if surrogate else Lineage(alterations=number)
        numbers = sorted({a.run for a in lineage.anchors})
        inherits = union([Lineage().inherited(frozenset()), lineage, mark])
        return self._new(tower, inherits, self._tokens_of(numbers), self.roots_of(numbers))

    def _is_surrogate(self, x: Tensor, lineage: Lineage) -> bool:
        """A state of the model, or a mean over its tokens, that is not the one pooled here."""
        if lineage.params or lineage.events or lineage.alterations or lineage.foreign:
            return False
        sites = {(a.block, a.site) for a in lineage.anchors}
        return bool(self.find(x)) or (len(sites) == 1 and x.ndim == 2)

    def _new(
        self, tower: Tower, inherits: Lineage, tokens: Tensor | None, roots: frozenset[int]
    ) -> Run:
        run = Run(tower.name, len(self.runs), inherits, tokens, roots)
        self.runs.append(run)
        return run

    def some_rows_of(self, run: Run, rows: tuple[int, ...]) -> Run:
        """A run of some of the texts of another."""
        key = (run.number, rows)
        if key not in self._chosen:
            index = list(rows)
            assert run.tokens is not None and run.features is not None  # noqa: S101, PT018
            chosen = self._new(self.anatomy.text, run.inherits, run.tokens[index], run.roots)
            chosen.features, chosen.blocks = run.features[index], set(run.blocks)
            self._chosen[key] = chosen
        return self._chosen[key]

    def roots_of(self, numbers: list[int]) -> frozenset[int]:
        """Runs from a first layer behind some runs."""
        return frozenset().union(*(self.runs[n].roots for n in numbers))

    def _tokens_of(self, numbers: list[int]) -> Tensor | None:
        known = [t for n in numbers if (t := self.runs[n].tokens) is not None]
        shapes = {t.shape[1:] for t in known}
        return torch.cat(known) if len(shapes) == 1 else None

    def _tokens_first(self, tower: Tower, x: Tensor, index: int) -> Tensor | None:
        """The values as (b, t, d), or (b, d) where only pooled ones enter the final norm."""
        x = plain(x).to(self.dtype)
        if x.ndim == 4 and 1 in x.shape[:2]:  # a batch of vmap
            x = x.flatten(0, 1)
        if index == len(tower.blocks) and x.ndim == 2:
            return x
        if x.ndim == 2:
            return x.unsqueeze(0)
        if x.ndim != 3:
            return None
        expected = tower.grid[0] * tower.grid[1] + 1
        if tower.name == "text":
            expected = self.given["text"].shape[1]
        if x.shape[1] != expected and x.shape[0] == expected:
            return x.transpose(0, 1)
        return x

    # -- states -----------------------------------------------------------------------------------

    def _pooled(self, tower: Tower, run: Run, rows: int, length: int) -> Tensor:
        device = self.given["text"].device
        if tower.name == "image":
            return torch.zeros(rows, dtype=torch.long, device=device)
        tokens = run.tokens
        if tokens is None or len(tokens) != rows:
            tokens = self.given["text"].expand(rows, -1)
        return tower.pooled_index(tokens).clamp(max=length - 1)

    def _block(self, tower: Tower, index: int, x: Tensor, run: Run) -> None:
        pooled = self._pooled(tower, run, len(x), x.shape[1])
        block = tower.blocks[index]
        for site, part, state in block_states(block, x, tower.mask(x.shape[1]), pooled):
            self.index.add(Anchor(tower.name, index, site, part, run.number), state)
            if site == "attention" and part == "pooled" and state.shape[-1] == x.shape[1]:
                run.attention[index] = Expected(state, pooled)
        run.blocks.add(index)

    def _final(self, tower: Tower, x: Tensor, run: Run) -> None:
        pooled = None if x.ndim == 2 else self._pooled(tower, run, len(x), x.shape[1])
        for site, part, state in final_states(tower, x, pooled):
            self.index.add(Anchor(tower.name, len(tower.blocks), site, part, run.number), state)
            if site == "feature":
                run.features = state.detach()
        run.blocks.add(len(tower.blocks))


def _some_rows(values: Tensor) -> Tensor:
    """A few rows, evenly spread, the first among them."""
    step = -(-len(values) // _ROWS_OF_AN_ENTRY)
    return values[::step].clone()


def _thin(seen: list[Entry] | list[AlterationSeen]) -> None:
    """Let every second sample go where there are many."""
    kept = [one for one in seen if one.sample is not None]
    if len(kept) > _SAMPLES:
        for one in kept[1::2]:
            one.sample = None


def _tolerance(inputs: Tensor) -> float:
    return {torch.float16: 2e-3, torch.bfloat16: 1e-2}.get(inputs.dtype, 1e-6)
