"""Evidence of model and data alone on disk, for the audits that come after: found by its content.

An entry is named by a hash of all that decides it: this program's own source, the versions of the
libraries, the weights, structure and configuration of the model, the data, the settings, and the
model's own scores to the last bit. So an entry is never stale; what has changed has another name.
Anything may be removed at any time: an audit measures for itself what it does not find.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import principles
from audit.result.wording import counted

AUTO: Final = "auto"
OFF: Final = "off"
MOST_BYTES: Final = 2 * 2**30
"""Above it, the entries that were not used for longest are removed."""
_ENTRY: Final = "entry.json"
_LIBRARIES: Final = ("numpy", "scipy", "torch")


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Attributes:
        folder: of the entry.
        model: its name.
        data: its name.
        pairs: how many.
        bytes: that its files take.
        used: when it was last used, in seconds since 1970.
    """

    folder: Path
    model: str
    data: str
    pairs: int
    bytes: int
    used: float


def cache_folder(chosen: str) -> Path | None:
    """Where the cache lies.

    Args:
        chosen: a folder; ``auto`` for ``explainer-audit`` in the user's cache folder
            (``XDG_CACHE_HOME``, else ``~/.cache``), or what the environment variable
            ``EXPLAINER_AUDIT_CACHE`` names in its place; ``off`` for none.

    Returns:
        The folder, which may not be there yet; None for none.
    """
    if chosen == AUTO:
        chosen = os.environ.get("EXPLAINER_AUDIT_CACHE", AUTO)
    if chosen == OFF:
        return None
    if chosen != AUTO:
        return Path(chosen).expanduser().resolve()
    home = os.environ.get("XDG_CACHE_HOME", "")
    above = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()
    return above / "explainer-audit"


@cache
def program_sha256() -> str:
    """Hash of this program's own source and of the versions of its libraries."""
    from audit.models.loading import PACKAGES  # loads torch

    digest = hashlib.sha256()
    for top in (Path(__file__).parents[1], Path(str(principles.__file__)).parent):
        for file in sorted(top.rglob("*.py")):
            digest.update(f"{file.relative_to(top)}\0".encode() + file.read_bytes() + b"\0")
    for name in (*_LIBRARIES, *PACKAGES):
        with contextlib.suppress(metadata.PackageNotFoundError):
            digest.update(f"{name} {metadata.version(name)}\0".encode())
    return digest.hexdigest()


def begin_entry(folder: Path, model: str, data: str, pairs: int) -> None:
    """Note what an entry is of, and that it is used now.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_ENTRY}.{os.getpid()}"
    part.write_text(json.dumps({"model": model, "data": data, "pairs": pairs}), encoding="utf-8")
    part.replace(folder / _ENTRY)


def entries(folder: Path) -> list[Entry]:
    """The entries of a cache, the latest used first; what cannot be read is left out."""
    found = []
    for noted in folder.glob(f"*/{_ENTRY}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            of = json.loads(noted.read_text(encoding="utf-8"))
            place = noted.parent
            size, used = _size(place), noted.stat().st_mtime
            found.append(
                Entry(place, str(of["model"]), str(of["data"]), int(of["pairs"]), size, used)
            )
    return sorted(found, key=lambda entry: -entry.used)


def prune(folder: Path, most: int = MOST_BYTES) -> list[Entry]:
    """Remove entries, those that were not used for longest first, until the others fit.

    Args:
        folder: of the cache.
        most: bytes that may stay.

    Returns:
        Those that were removed.
    """
    removed, held = [], 0
    for entry in entries(folder):
        held += entry.bytes
        if held > most:
            shutil.rmtree(entry.folder, ignore_errors=True)
            removed.append(entry)
    return removed


def told(folder: Path) -> str:
    """The entries of a cache in words, a line each."""
    found = entries(folder)
    if not found:
        return f"nothing is cached in {folder}"
    now = time.time()
    lines = [
        f"{entry.folder.name[:12]}  {entry.model}, {entry.data}, {counted(entry.pairs, 'pair')}, "
        f"{megabytes(entry.bytes)}, used {_ago(now - entry.used)}"
        for entry in found
    ]
    total = megabytes(sum(entry.bytes for entry in found))
    return "\n".join([*lines, f"{total} in {folder}; at most {megabytes(MOST_BYTES)} stay"])


def megabytes(count: int) -> str:
    """A size as people read it."""
    return f"{count / 1e6:,.1f} MB"


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
