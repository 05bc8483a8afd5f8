"""Where an error was raised: the line of the user's code that a traceback leads to."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_OWN = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")
)


def raising_line(error: BaseException, source_file: str | None) -> str:
    """``FILE:LINE, in FUNCTION`` of the last frame outside of libraries and of the audit.

    Args:
        error: with its traceback.
        source_file: of the explainer, which counts as the user's wherever it lies.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == source_file or _is_the_users(f.filename)]
    frame = next(reversed(own or frames), None)
    return f"{frame.filename}:{frame.lineno}, in {frame.name}" if frame else "an unknown line"


def _is_the_users(file: str) -> bool:
    path = Path(file)
    if not path.is_file():  # code that was compiled from text, such as <string>
        return False
    path = path.resolve()
    return not any(path.is_relative_to(folder) for folder in (_OWN, *_LIBRARIES))
