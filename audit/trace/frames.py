"""Whose code is running: the explainer's own lines, told from the model's and the library's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import nn

_HERE = str(Path(__file__).parent)
_TORCH = str(Path(torch.__file__).parent)
_ANATOMY = str(Path(__file__).parent.parent / "models")
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

    Args:
        model: its modules' source files count as the model's own code.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = {type(m).__module__ for m in model.modules()}
        files = (getattr(sys.modules.get(name), "__file__", None) for name in modules)
        self.model_files = {f for f in files if f and not f.startswith(_TORCH)}
        self._kinds: dict[str, str] = {}

    def kind(self, file: str) -> str:
        """``torch``, ``model``, ``audit`` or ``explainer``."""
        found = self._kinds.get(file)
        if found is None:
            found = "explainer"
            if file.startswith((_TORCH, "<")) or _is_library(file):
                found = "torch"
            elif file in self.model_files:
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
            kind = self.kind(frame.f_code.co_filename)
            if kind == "model":
                own = False
            elif kind == "explainer":
                name = frame.f_code.co_name
                return Place(frame.f_code.co_filename, frame.f_lineno, name), own
            frame = frame.f_back
        return UNKNOWN, own


def shown_path(file: str) -> str:
    """A path as reports show it: within this package, or relative to the working folder."""
    path = Path(file)
    if path.is_relative_to(_PROJECT / "audit"):
        return path.relative_to(_PROJECT).as_posix()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)


def _is_library(file: str) -> bool:
    return "/jaxtyping/" in file or "/beartype/" in file or file.endswith("/contextlib.py")
