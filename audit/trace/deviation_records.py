"""Records of attention and of altered values that are not the model's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.transformer_block import Block, TowerName
from audit.models.unwrapped_values import plain
from audit.trace.left_out import left_out
from audit.trace.lineage import Lineage, words_of
from audit.trace.map_origin import MapOrigin, distinct_prints
from audit.trace.observations import AlterationSeen, AttentionSeen
from audit.trace.probe_families import FEWEST, attends_around, rows_of, surrounds
from audit.trace.recorder import Recorder
from audit.trace.records import AlterationRecord, AttentionRecord
from audit.trace.samples import some_rows

_TINY = 1e-12


class DeviationRecords:
    """Groups what deviates by where it does."""

    def __init__(self, recorder: Recorder, descent: MapOrigin) -> None:
        self._recorder = recorder
        self._passes = recorder.passes
        self._descent = descent

    def attention(self) -> Iterator[AttentionRecord]:
        """Attention calls that differ from the model's, one record for each block."""
        seen = self._recorder.attending.seen
        groups: dict[tuple[TowerName, int], list[int]] = {}
        for number, call in enumerate(seen):
            groups.setdefault((call.tower, call.block), []).append(number)
        for (tower, block), numbers in sorted(groups.items()):
            calls = [seen[n] for n in numbers]
            call = next((c for c in calls if c.executed is not None), calls[0])
            different = distinct_prints([c.prints for c in calls])
            executed, model = _row(call.executed), _row(call.model)
            yield AttentionRecord(
                tower=tower,
                block=block,
                operation=call.operation,
                executed_heads=call.heads,
                model_heads=self._heads(tower, block),
                divergence=_total_variation(executed, model),
                executed=executed,
                model=model,
                inside_model=call.inside_model,
                variants=max(different // self._inputs_seen(tower), 1),
                surrounds_model=_attend_around(calls),
                relevant=not self._descent.known
                or any(n in self._descent.upstream.events for n in numbers),
                place=str(call.place),
                where=self._recorder.structure.tower(tower).words(block),
                hidden=max(c.hidden for c in calls),
            )

    def alterations(self) -> Iterator[AlterationRecord]:
        """Altered values at entrances, one record for each entrance and way there."""
        seen = self._passes.alterations
        groups: dict[tuple[TowerName, int, frozenset[str], bool], list[int]] = {}
        for number, one in enumerate(seen):
            key = (one.tower, one.block, one.lineage.params, one.surrogate)
            groups.setdefault(key, []).append(number)
        for (tower, block, params, surrogate), numbers in groups.items():
            alike = [seen[n] for n in numbers]
            different = distinct_prints([one.prints for one in alike])
            upstream = (
                self._descent.upstream.surrogates
                if surrogate
                else self._descent.upstream.alterations
            )
            lineage = alike[0].lineage
            view = self._recorder.structure.tower(tower)
            last = view.blocks[block - 1] if block else None
            yield AlterationRecord(
                tower=tower,
                block=block,
                after=tuple(sorted({words_of(a, view.words(a.block)) for a in lineage.anchors})),
                params=tuple(sorted(params)),
                surrogate=surrogate,
                variants=max(different // self._inputs_seen(tower), 1),
                surrounds_model=None if surrogate else self._surrounds_model(alike),
                where=view.words(block),
                relevant=not self._descent.known or any(n in upstream for n in numbers),
                place=str(alike[0].place),
                left_out=left_out(last, lineage) if isinstance(last, Block) else (),
                instead=self._instead(lineage),
                last=view.words(block - 1) if block else "",
            )

    def _instead(self, lineage: Lineage) -> str:
        """What attends to its like on the way, the last of it."""
        return self._recorder.attending.alike[max(lineage.alike)] if lineage.alike else ""

    def _surrounds_model(self, alike: list[AlterationSeen]) -> bool | None:
        """Whether altered values lie around the given input's; None where no shapes agree."""
        others = [one for one in alike if not one.patched]
        if not others:
            return True
        alike = others if len(others) >= FEWEST else alike
        one = alike[0]
        tower = self._recorder.structure.tower(one.tower)
        samples = [a.sample for a in alike if a.sample is not None]
        tokens = self._passes.given_runs.entering(
            one.tower, self._passes.precisions.given, one.block
        )[0].double()
        single = [s for s in samples if s.ndim == 2 and s.shape[-1] == tokens.shape[-1]]
        if single and len(single) == len(samples):
            return self._around_the_pooled(torch.cat(single).double()[:, None], tokens, tower)
        given = _places(tokens[None])[0]
        states = [_places(s.double()) for s in samples]
        fitting = [s for s in states if s.shape[1:] == given.shape]
        if fitting:
            pooled = self._pooled_place(one, tower, len(given))
            return surrounds(torch.cat(fitting), given, pooled)
        fewer = [s for s in states if s.ndim == 3 and s.shape[2] == given.shape[1]]
        return all(rows_of(s, given) for s in fewer) if fewer else None

    def _pooled_place(self, one: AlterationSeen, tower: AnyTower, places: int) -> int | None:
        """The place of the one token of many that is read out; None where there is none."""
        if places < 2 or not isinstance(tower, Tower):
            return None
        return int(tower.pooled_index(self._passes.given[one.tower]))

    def _around_the_pooled(self, family: Tensor, tokens: Tensor, tower: AnyTower) -> bool:
        """Whether single tokens are pooled ones of many altered passes.

        Where they lie around the other tokens as much, they are the tokens of one altered pass that
        are read one by one.
        """
        tokens = tokens.reshape(-1, tokens.shape[-1])
        pooled = int(tower.pooled_index(self._passes.given[tower.name])) if len(tokens) > 1 else 0
        if not surrounds(family, tokens[pooled : pooled + 1]):
            return False
        others = torch.cat([tokens[:pooled], tokens[pooled + 1 :]])
        near = (
            [surrounds(family, other) for other in some_rows(others)[:, None]]
            if len(others)
            else []
        )
        return 2 * sum(near) <= len(near)

    def _heads(self, tower: TowerName, block: int) -> int:
        return self._recorder.structure.tower(tower).heads_of(block)

    def _inputs_seen(self, tower: str) -> int:
        entries = [e for e in self._passes.entries if e.tower == tower]
        return max(distinct_prints([e.prints for e in entries]), 1)


def _places(x: Tensor) -> Tensor:
    """Values as places with channels each, (b, places, channels), those of a convolution too."""
    return x.flatten(2).mT if x.ndim == 4 else x


def _attend_around(calls: list[AttentionSeen]) -> bool | None:
    """Whether a family lies around the model's attention; None where no shapes agree."""
    known = [(c.executed, c.model) for c in calls if c.executed is not None]
    alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
    for executed, model in known:
        if model is None or executed.shape[1] != model.shape[1]:
            continue
        patches = model[..., 1:] / model[..., 1:].sum(-1, keepdim=True)
        own = patches if executed.shape[-1] == patches.shape[-1] else model
        if executed.shape == own.shape:
            alike.setdefault(executed.shape[1:], []).append((executed, own))
    if not alike:
        return None
    largest = max(alike.values(), key=len)
    return attends_around(*(torch.cat(rows) for rows in zip(*largest, strict=True)))


def _row(rows: Tensor | None) -> np.ndarray | None:
    """The attention of the first row, mean over heads."""
    return None if rows is None else plain(rows)[0].double().mean(0).cpu().numpy()


def _total_variation(executed: np.ndarray | None, model: np.ndarray | None) -> float | None:
    if executed is None or model is None:
        return None
    if len(executed) == len(model) - 1:
        model = model[1:] / max(float(model[1:].sum()), _TINY)
    if len(executed) != len(model):
        return None
    return float(np.abs(executed - model).sum() / 2)
