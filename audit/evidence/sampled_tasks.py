"""Runs one of several tasks that cost alike, and counts it as often as there are of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from audit.evidence.counted_passes import Passes
from audit.trace.records import Array

T = TypeVar("T")
_APART = 1e-3  # relative, so that no two results compress as one
_SEED = 16


@dataclass(frozen=True)
class Cost:
    """What work costs.

    Attributes:
        forward: multiplications of forward passes.
        backward: of backward passes.
        seconds: with one process.
        aside: seconds of it that several processes share.
        longest: those of the longest task of several, which one process has for itself.
    """

    forward: float = 0.0
    backward: float = 0.0
    seconds: float = 0.0
    aside: float = 0.0
    longest: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return self.plus(other, 1)

    def __sub__(self, other: Cost) -> Cost:
        return self.plus(other, -1)

    def plus(self, other: Cost, times: float) -> Cost:
        """This and so many times another."""
        return Cost(
            self.forward + times * other.forward,
            self.backward + times * other.backward,
            self.seconds + times * other.seconds,
            self.aside + times * other.aside,
            self.longest + times * other.longest,
        )


class Sampled:
    """A sampler of the tasks of one kind of evidence; see `audit.evidence.tasks.Sampler`.

    What it gives for a task that is not run is what another one gave, other by a thousandth but for
    arrays that two tasks gave alike.

    Args:
        passes: counts what is computed.
        device: of the model.
    """

    def __init__(self, passes: Passes, device: torch.device) -> None:
        self._passes = passes
        self._device = device
        self._not_run = Cost()
        self._given: dict[str, tuple[Any, Cost]] = {}
        self._names: set[str] = set()
        self._seen: set[bytes] = set()
        self._common: set[bytes] = set()
        self._aside = False
        self._generator = torch.Generator().manual_seed(_SEED)

    def spent(self) -> Cost:
        """What all would have cost so far."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        counted = Cost(self._passes.forward, self._passes.backward, perf_counter())
        return counted + self._not_run

    def kept(self, name: str, measure: Callable[[], T]) -> T:
        """What a task gives, or one like it."""
        group = name.partition(",")[0]
        known = self._given.get(group)
        if known is None:
            found, cost = self._run(measure)
            self._given[group] = found, cost
        else:
            found, cost = known
            if name not in self._names:  # else it was kept
                self._not_run += cost
                found = self._like(found)
        self._names.add(name)
        return found

    def all_kept(self, tasks: Mapping[str, Callable[[], T]]) -> list[T]:
        """What several tasks give, or others like them."""
        outer, self._aside = self._aside, True
        before = self.spent()
        found, longest = [], 0.0
        for name, measure in tasks.items():
            start = self.spent().seconds
            found.append(self.kept(name, measure))
            longest = max(longest, self.spent().seconds - start)
        if not outer and len(tasks) > 1:
            self._not_run += Cost(aside=(self.spent() - before).seconds, longest=longest)
        self._aside = outer
        return found

    def of_batches(self, parts: Sequence[Tensor], draw: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What is drawn of batches, or of others of their size."""
        given: dict[int, tuple[Tensor, Cost]] = {}
        found = []
        for part in parts:
            known = given.get(len(part))
            if known is None:
                known = given[len(part)] = self._run(lambda part=part: draw(part))  # type: ignore[misc]
                found.append(known[0])
            else:
                self._not_run += known[1]
                found.append(self._like(known[0]))
        return found

    def _run(self, measure: Callable[[], T]) -> tuple[T, Cost]:
        before = self.spent()
        found = measure()
        cost = self.spent() - before
        prints = set(_prints(found))
        self._common |= prints & self._seen
        self._seen |= prints
        return found, cost

    def _like(self, value: Any) -> Any:
        """The same with other numbers, which take as much room where they are kept."""
        if isinstance(value, np.ndarray):
            varies = np.issubdtype(value.dtype, np.floating) and _print(value) not in self._common
            return self._like(torch.from_numpy(value)).numpy() if varies else value
        if isinstance(value, Tensor) and value.is_floating_point():
            of_row = value.shape[1:] if value.ndim > 1 else value.shape  # equal rows stay equal
            noise = torch.rand(of_row, generator=self._generator, dtype=torch.float64)
            other = value.double() * (1 + _APART * noise)
            single = bool(((value.float().to(value.dtype) == value) | value.isnan()).all())
            return (other.float() if single else other).to(value.dtype)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            own = {f.name: self._like(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **own)
        if isinstance(value, dict):
            return {key: self._like(one) for key, one in value.items()}
        return value


def _prints(value: Any) -> Iterator[bytes]:
    """Hashes of the arrays of a value."""
    if isinstance(value, np.ndarray):
        yield _print(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from _prints(getattr(value, one.name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from _prints(one)


def _print(array: Array) -> bytes:
    return sha256(array.tobytes()).digest()
