"""What a worker is doing right now, readable by its supervisor even when the worker hangs or dies.

A page of memory that both processes map. It needs no file descriptor once it is mapped, so that an
explainer that closes descriptors does not silence it, and no lock: a torn read fails its checksum
and the reader keeps what it read before.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import struct
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_SIZE = 16_384
_HEADER = struct.Struct("<II")  # length and CRC-32 of the JSON that follows
_LONGEST_NAME = 500
_LEFT = ".left.json"
_APART = "status-"


@dataclass(frozen=True)
class Status:
    """What a worker is doing.

    Attributes:
        stage: the kind of evidence that is gathered, or what comes before and after.
        phase: of the progress, such as ``maps of gradient``.
        done: steps of the phase that are done.
        total: steps of the phase.
        explainer: the explainer that is being called; empty between calls.
        pairs: in that call; 0 while the explainer is loaded.
        since: when the call began, on the system's monotonic clock in seconds.
    """

    stage: str = ""
    phase: str = ""
    done: int = 0
    total: int = 0
    explainer: str = ""
    pairs: int = 0
    since: float = 0.0

    def calls_for(self, seconds: float) -> bool:
        """Whether a call of an explainer has taken longer than so many seconds."""
        return bool(self.explainer) and time.monotonic() - self.since > seconds

    @property
    def steps(self) -> list[tuple[str, int, int]]:
        """Stage and phase as progress is told: its name, the steps done, and the steps in all."""
        stage = [(self.stage, 0, 0)] if self.stage else []
        return [*stage, (self.phase, self.done, self.total)] if self.phase else stage

    @property
    def doing(self) -> str:
        """In words, for a message that says what was running."""
        parts = []
        if self.explainer:
            parts.append(f"explainer '{self.explainer}' {_call_of(self.pairs)}")
        if self.stage:
            parts.append(self.stage)
        if self.phase:
            parts.append(f"phase '{self.phase}', step {self.done + 1} of {max(self.total, 1)}")
        return ", ".join(parts) or "the audit was being set up"


def _call_of(pairs: int) -> str:
    if not pairs:
        return "was being loaded"
    return f"was called on {pairs} pair{'' if pairs == 1 else 's'}"


class StatusBoard:
    """A mapped page that holds a `Status`.

    Args:
        path: of the file behind it.
        create: make it anew, as the supervisor does.

    Attributes:
        folder: of the file, which the supervisor removes.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        if create:
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _SIZE)
        self.folder = path.parent
        self._status = Status()

    def read(self) -> Status:
        """The newest status that was written whole."""
        length, checksum = _HEADER.unpack_from(self._page)
        text = self._page[_HEADER.size : _HEADER.size + length]
        if 0 < length <= _SIZE - _HEADER.size and zlib.crc32(text) == checksum:
            self._status = Status(**json.loads(text))
        return self._status

    def tell(self, phase: str, done: int, total: int) -> None:
        """Progress of a phase."""
        self._write(phase=phase[:_LONGEST_NAME], done=done, total=total)

    def enter(self, stage: str) -> None:
        """Another kind of evidence begins."""
        self._write(stage=stage[:_LONGEST_NAME], phase="", done=0, total=0)

    def call(self, explainer: str, pairs: int) -> None:
        """An explainer is called; an empty name says that it has returned."""
        since = time.monotonic() if explainer else 0.0
        self._write(explainer=explainer[:_LONGEST_NAME], pairs=pairs, since=since)

    def write_apart(self) -> None:
        """In a fork: write to a page of its own from here on."""
        path = self.folder / f"{_APART}{os.getpid()}"
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _SIZE)

    def forget(self, process: int) -> None:
        """A fork has ended: what it wrote last holds no more."""
        (self.folder / f"{_APART}{process}").unlink(missing_ok=True)

    def all_statuses(self) -> list[Status]:
        """What the worker does, and each of its forks."""
        found = [self.read()]
        for path in sorted(self.folder.glob(f"{_APART}*")):
            with contextlib.suppress(OSError, ValueError):  # it has ended, or has just begun
                found.append(StatusBoard(path, create=False).read())
        return found

    def leave(self, name: str, document: Any) -> None:
        """Leave a document for the supervisor, to be read where the worker ends without a result.

        Args:
            name: a word.
            document: as JSON holds it.
        """
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(document), encoding="utf-8")
        part.replace(self.folder / f"{name}{_LEFT}")

    def left(self) -> dict[str, Any]:
        """What the worker has left, by name."""
        found = self.folder.glob(f"*{_LEFT}")
        return {p.name.removesuffix(_LEFT): json.loads(p.read_text("utf-8")) for p in found}

    def _write(self, **changes: str | float) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]
        text = json.dumps(asdict(self._status)).encode()
        self._page[: _HEADER.size + len(text)] = _HEADER.pack(len(text), zlib.crc32(text)) + text
