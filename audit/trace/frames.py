"""Whose code is running: the explainer's own lines, told from the model's and the library's."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.autograd import graph
from torch.nn.modules import module as torch_modules

_HERE = str(Path(__file__).parent)
_TORCH = str(Path(torch.__file__).parent)
_CALLS = frozenset({"_call_impl", "inner", "_slow_forward"})
_ENGINE = graph.__file__
_CHECKPOINT = str(Path(_TORCH) / "utils" / "checkpoint.py")
_ANATOMY = str(Path(__file__).parent.parent / "models")
_STANDARD = sysconfig.get_path("stdlib")
_PACKAGES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_TYPED = ("<ipython-input-", "<python-input-")  # cells and lines of a prompt; "<…>" else is made
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, order=True)
class Place:
    """A line of the explainer's source."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}" if self.file else ""


UNKNOWN = Place("", 0)


class Frames:
    """Finds the explainer's line behind a torch call.

    The model's own code are its modules' source files, and what is installed in the same packages:
    the helpers of a library that its modules call, or that call them.

    Args:
        model: the model.
    """

    def __init__(self, model: nn.Module) -> None:
        classes = {c for m in model.modules() for c in type(m).__mro__}
        modules = {c.__module__ for c in classes}
        named = {*map(_file, modules), *map(_file_of_forward, classes)}
        files = {f for f in named if f and not f.startswith(_TORCH) and not _is_library(f)}
        packages = {_folder(name) for name in modules} - {None, _TORCH}
        self._packages = tuple(f"{p}{os.sep}" for p in packages if p)
        self._files = files
        self._own, self._shared = "", ""
        self._kinds: dict[str, str] = {}

    def explainer_lies_in(self, file: str | None) -> None:
        """The explainer's source, which may lie in one file or package with the model."""
        own = self._own = file or ""
        self._packages = tuple(p for p in self._packages if not own.startswith(p))
        self._shared = own if own in self._files else ""
        self._files = self._files - {own}

    def kind(self, file: str) -> str:
        """``torch``, ``model``, ``audit`` or ``explainer``."""
        found = self._kinds.get(file)
        if found is None:
            found = "explainer"
            if file.startswith(_TYPED) or (file == self._own and file.startswith("<")):
                found = "explainer" if file not in self._files else "model"
            elif file.startswith((_TORCH, "<")) or _is_library(file):
                found = "torch"
            elif file in self._files or file.startswith(self._packages):
                found = "model"
            elif file.startswith((_HERE, _ANATOMY)):
                found = "audit"
            self._kinds[file] = found
        return found

    def caller(self) -> tuple[Place, bool]:
        """The explainer's line that is running, and whether it calls torch by itself.

        Returns:
            The innermost line of explainer code, and True where no code of the model lies between
            it and torch.
        """
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
        own = True
        while frame is not None:
            kind = self._kind_of(frame)
            if kind == "model":
                own = False
            elif kind == "explainer":
                name = frame.f_code.co_name
                return Place(frame.f_code.co_filename, frame.f_lineno, name), own
            frame = frame.f_back
        return UNKNOWN, own

    def caller_is_within_gradient(self) -> bool:
        """Whether the explainer's own code runs inside of a gradient: a hook, a custom backward."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
        while frame is not None:
            file = frame.f_code.co_filename
            if file == _ENGINE and frame.f_code.co_name == "_engine_run_backward":
                return False
            if self._kind_of(frame) == "explainer":
                return True
            frame = frame.f_back
        return False

    def caller_is_backward_rule(self) -> bool:
        """Whether a module runs as a part of a gradient: in a hook, or in a custom backward.

        What a checkpoint computes again is a part of the forward pass.
        """
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
        own = False
        while frame is not None:
            file = frame.f_code.co_filename
            if file == _CHECKPOINT:
                return False
            if file == _ENGINE and frame.f_code.co_name == "_engine_run_backward":
                return own
            own = own or self._kind_of(frame) == "explainer"
            frame = frame.f_back
        return False

    def _kind_of(self, frame: FrameType) -> str:
        """Whose code a frame runs; where model and explainer share a file, methods tell."""
        file = frame.f_code.co_filename
        if file == self._shared and isinstance(frame.f_locals.get("self"), nn.Module):
            return "model"
        return self.kind(file)


def line_of(function: Any) -> Place:
    """Where a function or another callable is written; `UNKNOWN` where nobody can tell."""
    function = inspect.unwrap(getattr(function, "func", function))
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = type(function).__call__
    code = getattr(function, "__code__", None)
    return UNKNOWN if code is None else Place(code.co_filename, code.co_firstlineno, code.co_name)


def call_keywords() -> dict[str, Any]:
    """The keyword arguments of the module call that is under way, which hooks are not told."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        code = frame.f_code
        if code.co_filename == torch_modules.__file__ and code.co_name in _CALLS:
            found: dict[str, Any] = frame.f_locals.get("kwargs", {})
            return found
        frame = frame.f_back
    return {}


def shown_path(file: str) -> str:
    """A path as reports show it: within this package, or relative to the working folder."""
    path = Path(file)
    if path.is_relative_to(_PROJECT / "audit"):
        return path.relative_to(_PROJECT).as_posix()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)


def _file(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def _file_of_forward(module: type) -> str | None:
    """Where a class of modules says how it is run, also where its file is no module of Python."""
    forward = inspect.unwrap(module.__dict__.get("forward", int))
    return getattr(getattr(forward, "__code__", None), "co_filename", None)


def _folder(module: str) -> str | None:
    """The installed package that a module belongs to; None for a file of its own."""
    top = _file(module.partition(".")[0])
    folder = str(Path(top).parent) if top and top.endswith("__init__.py") else None
    return folder if folder and folder.startswith(_PACKAGES) else None


def _is_library(file: str) -> bool:
    """Whether a file is of Python itself, or of what wraps functions in it."""
    if file.startswith(_PACKAGES):
        return "/jaxtyping/" in file or "/beartype/" in file
    return file.startswith(_STANDARD)
