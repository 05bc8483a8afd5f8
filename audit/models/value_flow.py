"""Where everything that a forward pass computes goes through one tensor.

One pass is watched operation by operation. A tensor through which all later results come is a cut:
whoever puts other values in its place, and lets the rest of the module run, has what the model
makes of these values. Modules that lead from cut to cut are the steps of a tower, whatever its
library calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from audit.models.substitution import with_tensor


@dataclass(frozen=True)
class Step:
    """A module that leads from cut to cut, as it was called.

    Attributes:
        path: dotted name.
        shape: of what enters it, without the batch.
        entrances: its parameters that meet what enters it, by dotted name, and the operation.
        args: what it was given by position, besides the values.
        keywords: and by keyword.
        output: what it gave, of the pass that was watched.
        form: that with what stands around it, such as a tuple of it and None.
        goes_on: whether that is the very tensor that the next step receives.
    """

    path: str
    shape: tuple[int, ...]
    entrances: Mapping[str, str]
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Tensor
    form: Any
    goes_on: bool


@dataclass(frozen=True)
class Flow:
    """A forward pass.

    Attributes:
        steps: modules with parameters, each called once, that everything flows through, in their
            order; of modules within each other the inner ones. None where there is no cut.
        whole: dotted name of the module whose call is the pass, None where it is more than one.
        outputs: whether the model itself is called with the input, and what it gives is computed
            with further.
        entry_weights: parameters that meet the input, by dotted name, and the operation.
        weights: all parameters that are used.
    """

    steps: tuple[Step, ...]
    whole: str | None
    entry_weights: Mapping[str, str]
    weights: frozenset[str] = frozenset()
    outputs: bool = False


@dataclass
class _Value:
    """The input, or a floating-point result that depends on it.

    Attributes:
        made: number of the operation that made it; -1 for the input.
        used: number of the last operation that used it.
        passes_on: whether it is floating; token ids and indices only choose rows and places.
        weights: parameters that met it in one operation, and which.
    """

    made: int
    used: int = -1
    passes_on: bool = True
    weights: dict[str, str] = field(default_factory=dict)


@dataclass
class _Call:
    """A module call: the values that went in and came out, by their number; rows of the former."""

    path: str
    given: int | None
    gave: int | None
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Tensor | None
    form: Any
    rows: int
    shape: tuple[int, ...]
    start: int
    stop: int = -1


class _Watch(TorchDispatchMode):
    """Follows what depends on the input."""

    def __init__(self, model: nn.Module, given: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: list[_Value] = []
        self.calls: list[_Call] = []
        self.operations = 0
        self.used: set[str] = set()
        self.aliases = [0]  # the input, and the same numbers in another shape
        self._kept: list[Tensor] = []
        self._number: dict[int, int] = {}
        self._weights = {id(p): path for path, p in model.named_parameters()}
        self._follow(given, -1)

    def number_of(self, t: object) -> int | None:
        """Which value a tensor holds now."""
        return self._number.get(id(t)) if isinstance(t, Tensor) else None

    def _follow(self, t: Tensor, made: int) -> None:
        self._kept.append(t)
        self._number[id(t)] = len(self.values)
        self.values.append(_Value(made, passes_on=t.is_floating_point()))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        out = func(*args, **(kwargs or {}))
        operands = list(tensors_among((args, kwargs or {})))
        weights = {self._weights[id(t)] for t in operands if id(t) in self._weights}
        numbers = [n for t in operands if (n := self.number_of(t)) is not None]
        self.used |= weights
        given_numel = self._kept[0].numel()
        for n in numbers:
            if self.values[n].passes_on:
                self.values[n].used = self.operations
            self.values[n].weights |= dict.fromkeys(weights, func.overloadpacket.__name__)
        for t in tensors_among(out):
            if id(t) in self._weights:
                continue
            if weights and not numbers and t.is_floating_point():  # a view of a parameter
                self._kept.append(t)
                self._weights[id(t)] = next(iter(weights))
            elif numbers:
                if not weights and numbers[0] in self.aliases and t.numel() == given_numel:
                    self.aliases.append(len(self.values))
                self._follow(t, self.operations)
        self.operations += 1
        return out


def tensors_among(value: Any) -> Iterator[Tensor]:
    """Tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_among(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_among(item)


def flow_of(model: nn.Module, call: Callable[[Tensor], Tensor], given: Tensor) -> Flow:
    """The steps of a forward pass.

    Args:
        model: whose modules are looked at; left as it is.
        call: the forward pass.
        given: one input, pixels or token ids.
    """
    given = given.clone()
    watch = _Watch(model, given)
    with _calls_told(model, watch), torch.no_grad(), watch:
        result = call(given)
    end = watch.number_of(result)
    if end is None:
        return Flow((), None, {})
    watch.values[end].used = watch.operations
    cuts = _cuts(watch.values, end)
    weighty = [
        c
        for c in _once(watch.calls)
        if next(model.get_submodule(c.path).parameters(), None) is not None
    ]
    calls = _innermost([c for c in weighty if _leads(c, cuts, watch.values, len(given))])
    following = [*(c.given for c in calls[1:]), end][: len(calls)]
    steps = tuple(
        _step(model, c, watch, goes_on=c.gave == after)
        for c, after in zip(calls, following, strict=True)
    )
    whole = next((c.path for c in watch.calls if c.given == 0 and c.gave == end), None)
    met: dict[str, str] = {}
    for n in watch.aliases:
        met |= watch.values[n].weights
    entry = _first_of_each({path: met[path] for path, _ in model.named_parameters() if path in met})
    outputs = whole is None and any(not c.path and c.given == 0 for c in watch.calls)
    return Flow(steps, whole, entry, frozenset(watch.used), outputs)


def _first_of_each(met: Mapping[str, str]) -> dict[str, str]:
    """Of the parameters of one module the first."""
    first: dict[str, str] = {}
    for path in met:
        first.setdefault(path.rpartition(".")[0], path)
    return {path: met[path] for path in first.values()}


def _step(model: nn.Module, c: _Call, watch: _Watch, *, goes_on: bool) -> Step:
    assert c.given is not None and c.output is not None  # noqa: S101, PT018 - asked in `_leads`
    met = watch.values[c.given].weights
    own = [f"{c.path}.{name}" for name, _ in model.get_submodule(c.path).named_parameters()]
    entrances = _first_of_each({path: met[path] for path in own if path in met})
    return Step(c.path, c.shape, entrances, c.args[1:], c.keywords, c.output, c.form, goes_on)


def _cuts(values: list[_Value], end: int) -> set[int]:
    """Values of which nothing that was made before is used after they were made."""
    cuts: set[int] = set()
    earlier = -1  # the last use of what was made before
    for made, group in groupby(range(len(values)), key=lambda n: values[n].made):
        together = list(group)
        for n in together:
            others = max((values[m].used for m in together if m != n), default=-1)
            if max(earlier, others) <= made and (values[n].used > made or n == end):
                cuts.add(n)
        earlier = max(earlier, *(values[n].used for n in together))
    return cuts


def _once(calls: list[_Call]) -> list[_Call]:
    counts: dict[str, int] = {}
    for c in calls:
        counts[c.path] = counts.get(c.path, 0) + 1
    return [c for c in calls if counts[c.path] == 1 and c.path]


def _leads(c: _Call, cuts: set[int], values: list[_Value], rows: int) -> bool:
    """Whether a call leads from a cut to a later one, the rows of the input apart in both."""
    return (
        c.given in cuts
        and c.gave in cuts
        and c.gave is not None
        and c.given is not None
        and values[c.gave].made > values[c.given].made
        and c.output is not None
        and len(c.output) == c.rows == rows
    )


def _innermost(calls: list[_Call]) -> list[_Call]:
    inner = [
        c
        for c in calls
        if not any(o is not c and c.start < o.start and o.stop < c.stop for o in calls)
    ]
    return sorted(inner, key=lambda c: c.start)


@contextmanager
def _calls_told(model: nn.Module, watch: _Watch) -> Iterator[None]:
    """Note the calls of every module, with the values that go in and come out."""
    open_calls: list[_Call] = []
    clock = iter(range(1 << 40))

    def before(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            del module
            given = watch.number_of(args[0]) if args else None
            rows, *shape = args[0].shape if given is not None and args[0].ndim else (0,)
            form = None, None, rows, tuple(shape)
            one = _Call(path, given, None, args, dict(keywords), *form, next(clock))
            watch.calls.append(one)
            open_calls.append(one)

        return hook

    def after(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        del module, args
        one = open_calls.pop()
        every = list(tensors_among(out))
        first = every[0] if len(every) == 1 else None  # one cannot stand for several
        one.gave, one.stop = watch.number_of(first), next(clock)
        if first is not None and one.gave is not None:
            with _disable_current_modes():
                one.output = first.detach().clone()
                one.form = with_tensor(out, one.output)

    with ExitStack() as stack:
        for path, module in model.named_modules():
            for handle in (
                module.register_forward_pre_hook(before(path), with_kwargs=True),
                module.register_forward_hook(after),
            ):
                stack.callback(handle.remove)
        yield
