"""Which places of a result lie in the user's repository, for reports that a forge reads."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from audit.result.finding import Location
from audit.result.schema import CheckResult, Result

__all__ = ["path_from_root", "places_elsewhere", "places_in_repository"]

_DISTRIBUTION: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = frozenset({"audit", "principles"})
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def places_in_repository(check: CheckResult, result: Result) -> list[Location]:
    """The finding's places in the repository, else the explainer's own line, if it lies there.

    Empty where nothing lies in the repository, as for an explainer that comes with this package.
    """
    explainer = result.explainer
    own = Location(file=explainer.source_file or "", line=explainer.source_line or 1)
    found = [place for place in check.finding.locations if _is_inside(place.file)]
    return found or [place for place in [own] if _is_inside(place.file)]


def places_elsewhere(check: CheckResult) -> list[Location]:
    """The finding's places in files that the user's repository does not hold."""
    return [place for place in check.finding.locations if not _is_inside(place.file)]


def path_from_root(file: str, result: Result) -> str:
    """A file's path from the root of the repository; the audit may have run in a folder below."""
    return posixpath.join(result.conditions.folder, file)


def _is_inside(file: str) -> bool:
    """Whether a shown path is of a file below the folder that the audit ran in."""
    windows, path = PureWindowsPath(file), PurePosixPath(file.replace("\\", "/"))
    if not file or file.startswith("<") or windows.drive or path.is_absolute():
        return False
    if ".." in path.parts or _INSTALLED & set(path.parts):
        return False
    return not (path.parts[0] in _PACKAGES and (_DISTRIBUTION / path).is_file())
