"""The instrument: a dispatch mode in every thread, and what it cannot see by itself.

It sees every operation below autograd, forward and backward, and is told of modules, derivatives,
exits from torch and other processes. It changes nothing: `has_torch_function` stays false, and
kernels and autocast are as without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._python_dispatch import _disable_current_modes as modes_set_aside

from audit.models.jit_tracing import called, graphs_recorded_without_modes
from audit.models.unwrapped_values import outside_transforms
from audit.trace.backward_hooks import Arrives, Gradients, Way
from audit.trace.differentiation import Differentiating, every_derivative
from audit.trace.exits import every_exit
from audit.trace.operations import Operation, operation
from audit.trace.precision import Autocast
from audit.trace.processes import every_process
from audit.trace.threads import in_every_thread


class Observer(Differentiating):
    """Told of everything, and looks at nothing; what it computes itself is not seen.

    Attributes:
        differentiating: who is told of derivatives in its place.
    """

    differentiating: Differentiating | None = None

    def inside(self) -> Any:
        """What runs by itself now, so that of operations the results alone are noted, or None."""

    def gave_inside(self, where: Any, name: str, out: Any) -> None:
        """An operation has run there; what this does calls no operation."""

    def before_operation(self, operation: Operation) -> Any:
        """An operation is about to run; the result is handed to `after_operation`."""

    def after_operation(self, note: Any, operation: Operation, out: Any) -> None:
        """It has run."""

    def before_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run."""

    def after_module(self, module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        """It has run, or raised and gives None."""

    def leaves(self, t: Tensor) -> None:
        """Values go to numpy or plain Python."""

    def starts(self, event: str) -> None:
        """Another process is started."""


class _Thread(threading.local):
    """Whether the observer is at work in a thread, and whether autograd was on before."""

    noting = False
    differentiable = True


class Instrument(TorchDispatchMode, Differentiating):
    """Context manager under which an explainer is watched.

    Args:
        device: of the model.
        observer: who is told; None to watch without looking.
    """

    def __init__(self, device: torch.device, observer: Observer | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.observer = observer
        self.autocast = Autocast(device.type)
        self.hooks: set[int] = set()
        self._lock = threading.RLock()
        self._thread = _Thread()
        self._around = ExitStack()

    def __enter__(self) -> Instrument:  # noqa: PYI034 - beartype resolves Self in whole classes only
        for hook in (
            module_hooks.register_module_forward_pre_hook(self._before_module),
            module_hooks.register_module_forward_hook(self._after_module, always_call=True),
        ):
            self.hooks.add(hook.id)
            self._around.callback(hook.remove)
        for one in (
            graphs_recorded_without_modes(),
            in_every_thread(self.__torch_dispatch__),
            self.autocast.followed(lambda: self._thread.noting),
            every_derivative(self),
            every_exit(self._leaves),
            every_process(self._starts),
        ):
            self._around.enter_context(one)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)  # type: ignore[no-untyped-call]
        self._around.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The same for what is told elsewhere than at an operation, where the mode is active."""
        with self.noting(), modes_set_aside():
            yield

    @contextmanager
    def noting(self) -> Iterator[None]:
        """One thread at a time notes what it saw; what it does itself meanwhile is not seen."""
        with self._lock:
            before, self._thread.noting = self._thread.noting, True
            if not before:
                self._thread.differentiable = torch.is_grad_enabled()
            try:
                with outside_transforms(), torch.no_grad():
                    yield
            finally:
                self._thread.noting = before

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See one operation."""
        del types
        kwargs = kwargs or {}
        if self.observer is None or self._thread.noting:
            return called(func, args, kwargs)
        where = self.observer.inside()
        if where is not None:
            out = called(func, args, kwargs)
            self.observer.gave_inside(where, func.overloadpacket.__name__, out)
            return out
        name, told = func.overloadpacket.__name__, self.observer.differentiating
        if told is not None and args and isinstance(args[0], Tensor) and told.only_derives(name):
            out = called(func, args, kwargs)
            told.derived(name, out)
            return out
        now = operation(func, args, kwargs)
        with self.noting():
            note = self.observer.before_operation(now)
        out = called(func, args, kwargs)
        with self.noting():
            self.observer.after_operation(note, now, out)
        return out

    def differentiable(self) -> bool:
        """Whether what is seen now is computed with autograd on."""
        return self._thread.differentiable

    @property
    def _told(self) -> Observer | None:
        return None if self._thread.noting else self.observer

    def _before_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if (observer := self._told) is not None and observer.inside() is None:
            with self.aside():
                observer.before_module(module, args)

    def _after_module(self, module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        if (observer := self._told) is not None:
            with self.aside():
                observer.after_module(module, args, out)

    def _leaves(self, t: Tensor) -> None:
        if (observer := self._told) is not None:
            with self.aside():
                observer.leaves(t)

    def _starts(self, event: str) -> None:
        if (observer := self._told) is not None:
            with self.aside():
                observer.starts(event)

    # -- derivatives, handed on -------------------------------------------------------------------

    @property
    def _differentiating(self) -> Differentiating | None:
        observer = self._told
        return observer and (observer.differentiating or observer)

    def before_gradient(self, roots: Sequence[Tensor], directions: Sequence[Tensor | None]) -> Any:
        """The engine of autograd is about to run."""
        if (told := self._differentiating) is None:
            return None
        with self.aside():
            return told.before_gradient(roots, directions)

    def after_gradient(
        self, note: Any, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
    ) -> None:
        """The engine has run."""
        if (told := self._differentiating) is not None:
            with self.aside():
                told.after_gradient(note, inputs, gradients)

    def tensor_hooked(self, t: Tensor, hook: object) -> Arrives | None:
        """A tensor has got a hook, or is to keep its gradient."""
        if (told := self._differentiating) is None:
            return None
        with self.aside():
            return self._unseen(told.tensor_hooked(t, hook))

    def module_hooked(self, module: nn.Module, way: Way, hooks: Sequence[object]) -> Arrives | None:
        """A module runs that has hooks for gradients."""
        if (told := self._differentiating) is None:
            return None
        with self.aside():
            return self._unseen(told.module_hooked(module, way, hooks))

    def _unseen(self, arrives: Arrives | None) -> Arrives | None:
        """A reader of gradients whose work is not seen."""
        if arrives is None:
            return None

        def reading(by_inputs: Gradients, by_outputs: Gradients) -> None:
            if self._told is not None:
                with self.aside():
                    arrives(by_inputs, by_outputs)

        return reading

    def tangent_enters(self, tangent: Tensor) -> None:
        """A direction of forward mode."""
        if (told := self._differentiating) is not None:
            told.tangent_enters(tangent)

    def tangent_read(self, primal: Tensor, tangent: Tensor) -> None:
        """A derivative of forward mode."""
        if (told := self._differentiating) is not None:
            with self.aside():
                told.tangent_read(primal, tangent)
