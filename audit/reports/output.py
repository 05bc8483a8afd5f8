"""Writing reports: every file whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from audit.errors import IncompleteError
from audit.reports.formats import FORMATS
from audit.result.schema import Result

PREVIOUS = "previous"
"""Folder in that of the reports, for those of an earlier audit while there are none of this one."""


class OutputError(OSError):
    """A place cannot be written to, or a format is unknown; found before the work begins."""


class OutputWriteError(IncompleteError):
    """A report could not be written in the end."""


def known_formats(names: Iterable[str]) -> None:
    """Refuse unknown formats.

    Raises:
        OutputError: for an unknown one.
    """
    from audit.nearest_name import nearest_of

    for name in names:
        if name not in FORMATS:
            raise OutputError(nearest_of("format", name, FORMATS))


def writable(folder: Path, option: str = "--out") -> Path:
    """The folder, made if need be, after a trial of writing to it.

    Raises:
        OutputError: it cannot be written to.
    """
    probe = folder / ".audit-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder '{folder}': {error.strerror}; choose another {option}"
        ) from error
    return folder


def set_reports_aside(folder: Path) -> None:
    """Move the reports of an earlier audit away, so that none is mistaken for one of this."""
    names = [one.file_name for one in FORMATS.values() if (folder / one.file_name).is_file()]
    if names:
        (folder / PREVIOUS).mkdir(exist_ok=True)
    for name in names:
        (folder / name).replace(folder / PREVIOUS / name)


def forget_previous(folder: Path) -> None:
    """Remove what was set aside, once there are reports of this audit."""
    for one in FORMATS.values():
        (folder / PREVIOUS / one.file_name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / PREVIOUS).rmdir()


def write_reports(result: Result, folder: Path, formats: Iterable[str]) -> None:
    """Write the result in the formats asked for, each once.

    Raises:
        OutputWriteError: the disk is full, or the folder has become unwritable.
    """
    for name in dict.fromkeys(formats):
        write_whole(folder / FORMATS[name].file_name, FORMATS[name].render(result))


def write_whole(path: Path, text: str) -> None:
    """Write a text file in one step.

    Raises:
        OutputWriteError: it cannot be written; an older file of this name stays as it was.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputWriteError(
            f"cannot write '{path}': {error.strerror or error}; free space or choose another "
            "--out; the evidence stays, and the same command renders again from it"
        ) from error
