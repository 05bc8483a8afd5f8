"""What an explainer's evidence depends on beside model and data: code, files, environment.

Evidence of an interrupted audit is used again only while all of this is as it was. Modules are seen
in `sys.modules`, files by Python's audit events, from the moment the explainer is loaded. What no
event tells is not seen: files that compiled code opens by itself (safetensors, memory maps of
torch), other processes, the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_MISSING = "missing"
_BY_TIME = "installed: "
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_NO_SOURCES = ("/proc/", "/sys/", "/dev/")
_WRITING = frozenset("wax+")
VOLATILE = frozenset(
    {
        "_", "COLUMNS", "LINES", "OLDPWD", "PWD", "PYTEST_CURRENT_TEST", "SHLVL", "TERM",
        "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "WINDOWID", "XDG_SESSION_ID",
        "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK", "TMUX", "TMUX_PANE", "STY",
        "INVOCATION_ID", "JOURNAL_STREAM", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "COLORTERM",
    }
)  # fmt: skip
"""Environment variables that differ between two terminals and decide no map."""


_STANDARD_LIBRARY = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
)


class _Opened:
    """Files opened for reading while `recording`; Python's audit hooks cannot be taken away."""

    def __init__(self) -> None:
        self.recording = 0
        self.paths: set[str] = set()
        self.hooked = False

    def hook(self) -> None:
        if not self.hooked:
            self.hooked = True
            sys.addaudithook(self._event)

    def _event(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.recording or event != "open":
            return
        path, mode, flags = (*arguments, None, None, None)[:3]
        writing = isinstance(mode, str) and bool(_WRITING & set(mode))
        writing |= isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        if not writing and isinstance(path, (str, bytes, os.PathLike)):
            self.paths.add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - no look at the disk


_OPENED = _Opened()


@contextmanager
def reading_recorded() -> Iterator[None]:
    """Record the files that are opened for reading, by the explainer or on its behalf."""
    _OPENED.hook()
    _OPENED.recording += 1
    try:
        yield
    finally:
        _OPENED.recording -= 1


class SourceRecord:
    """Hashes of all that an explainer's evidence depends on; grows while the explainer runs.

    Where there is a record already, this one goes on from it.

    Args:
        path: of the record on disk.
        own: files that count wherever they lie, such as the explainer's.
        beside: folders whose files are the audit's own, such as its output.
    """

    def __init__(
        self, path: Path, own: tuple[str, ...] = (), beside: tuple[Path, ...] = ()
    ) -> None:
        self.path = path
        self.own = frozenset(os.path.abspath(file) for file in own)  # noqa: PTH100
        self.beside = tuple(os.path.realpath(folder) + os.sep for folder in beside)
        self.environment = environment_digest(os.environ)
        self.hashes = _read(path)[0]
        self._passed_over: set[str] = set()
        self._of_modules: set[str] = set()

    def update(self) -> None:
        """Add what has been imported or opened since, and write the record.

        A file counts with the content it had when it was first seen.
        """
        known = self.hashes.keys() | self._passed_over
        imported = {os.path.abspath(file) for file in self._newly_imported()}  # noqa: PTH100
        files = {*self.own, *imported, *_OPENED.paths} - known
        new = {file: self._digest(file) for file in files}
        new = {file: digest for file, digest in new.items() if digest}
        self._passed_over |= files - new.keys()
        if new or not self.path.is_file():
            self.hashes |= new
            self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        document = {"environment": self.environment, "files": self.hashes}
        part.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(self.path)

    def write_apart(self) -> None:
        """In a fork: write a record of its own from here on, for `join`."""
        self.path = self._apart(os.getpid())
        self.update()

    def join(self, process: int) -> None:
        """Add the record of a fork that has ended."""
        apart = self._apart(process)
        self.hashes = {**_read(apart)[0], **self.hashes}
        apart.unlink(missing_ok=True)
        if self.path.is_file():
            self._write()

    def _apart(self, process: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-{process}{self.path.suffix}")

    def _newly_imported(self) -> set[str]:
        """Files of modules, as these name them, that were not there at the last call."""
        modules = [m for m in list(sys.modules.values()) if isinstance(m, ModuleType)]
        named = (getattr(module, "__file__", None) for module in modules)
        new = {file for file in named if isinstance(file, str)} - self._of_modules
        self._of_modules |= new
        return new

    def _digest(self, file: str) -> str:
        """Of content; of what is installed the size and time; nothing of what does not count."""
        if file in self.own:
            return digest_of(file)
        real = os.path.realpath(file)
        installed = bool(_INSTALLED & set(Path(real).parts))
        if not self._counts(file, real, installed=installed):
            return ""
        return size_and_time(file) if installed else digest_of(file)

    def _counts(self, file: str, real: str, *, installed: bool) -> bool:
        if file.startswith(_NO_SOURCES) or f"{os.sep}__pycache__{os.sep}" in file:
            return False
        if os.path.isdir(file):  # noqa: PTH112 - called for thousands of files
            return False
        standard = real.startswith(_STANDARD_LIBRARY) and not installed
        return not standard and not real.startswith(self.beside)


def what_changed(path: Path) -> str | None:
    """Why evidence with this record cannot be used any more; empty where nothing changed.

    None where there is no record, or it cannot be read.
    """
    files, environment = _read(path)
    if not environment:
        return None
    if environment != environment_digest(os.environ):
        return "the environment variables changed"
    for file, digest in files.items():
        now = size_and_time(file) if digest.startswith(_BY_TIME) else digest_of(file)
        if now != digest:
            return f"'{file}' changed"
    return ""


def _read(path: Path) -> tuple[dict[str, str], str]:
    """Files and environment of a record; nothing of one that is not there or cannot be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return dict(record["files"]), str(record["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, ""


def environment_digest(environment: Mapping[str, str]) -> str:
    """A hash of the environment variables, less the `VOLATILE` ones."""
    kept = sorted((k, v) for k, v in environment.items() if k not in VOLATILE)
    return hashlib.sha256(repr(kept).encode(errors="surrogateescape")).hexdigest()


def size_and_time(file: str) -> str:
    """Of a file of an installed package, of which there are thousands."""
    try:
        found = Path(file).stat()
    except OSError:
        return f"{_BY_TIME}{_MISSING}"
    return f"{_BY_TIME}{found.st_size} bytes, {found.st_mtime_ns}"


def digest_of(file: str) -> str:
    """SHA-256 of a file's content; ``missing`` where there is none to read."""
    try:
        if not Path(file).is_file():  # a pipe would never end
            return _MISSING
        with Path(file).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except (OSError, ValueError):
        return _MISSING
