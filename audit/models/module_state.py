"""The make-up of a module: classes, attributes, hooks, children and whose tensors, to put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_Contents = tuple[nn.Module, type, dict[str, Any]]


class MakeUp:
    """A snapshot of everything but the values of tensors.

    Args:
        model: its modules are kept by reference, what they hold is copied one level deep.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules: dict[int, _Contents] = {
            id(module): (module, type(module), _copied(vars(module))) for module in model.modules()
        }

    def differs(self, part: nn.Module, but_for: frozenset[str] = frozenset()) -> bool:
        """Whether anything of a part of the model is not as it was.

        Args:
            part: a module of the model.
            but_for: attributes of the part itself, not of what is in it, that may be others.
        """
        for module in part.modules():
            known = self._modules.get(id(module))
            if known is None or _differs(*known, but_for if module is part else frozenset()):
                return True
        return False

    def restore(self) -> None:
        """Put back what differs."""
        for module, kind, contents in [one for one in self._modules.values() if _differs(*one)]:
            module.__class__ = kind
            here = vars(module)
            for name in here.keys() - contents.keys():
                del here[name]
            for name, value in contents.items():
                if isinstance(value, dict) and isinstance(here.get(name), dict):
                    here[name].clear()
                    here[name].update(value)
                else:
                    here[name] = value


@contextmanager
def kept_make_up(model: nn.Module) -> Iterator[None]:
    """Put the make-up of a module back at the end."""
    before = MakeUp(model)
    try:
        yield
    finally:
        before.restore()


def _copied(contents: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(v) if isinstance(v, dict) else v for name, v in contents.items()}


def _differs(
    module: nn.Module, kind: type, contents: dict[str, Any], but_for: frozenset[str] = frozenset()
) -> bool:
    here = vars(module)
    if type(module) is not kind or here.keys() != contents.keys():
        return True
    for name, value in contents.items():
        now = here[name]
        if now is value or (type(now) is type(value) is dict and not now and not value):
            continue  # nearly all of them, and this is asked at every call
        if name not in but_for and not _same(now, value):
            return True
    return False


def _same(here: object, before: object) -> bool:
    if isinstance(before, dict):
        return (
            isinstance(here, dict)
            and list(here) == list(before)
            and all(here[key] is before[key] for key in before)
        )
    return here is before or (isinstance(before, (bool, int, float, str)) and here == before)
