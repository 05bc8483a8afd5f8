"""An evidence pack: what a reviewer needs to check a verdict, in one file with checksums.

It holds the result, the report, the evidence that was judged, and the explainer's source, each as
it was. ``SHA256SUMS`` lists every other file in the form of ``sha256sum``.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from audit.errors import IncompleteError
from audit.reports.html import render_html
from audit.result.document import read_result
from audit.result.schema import Result

SUMS: Final = "SHA256SUMS"
RESULT: Final = "result.json"
REPORT: Final = "report.html"
EVIDENCE: Final = "evidence"
SOURCE: Final = "source"
_OF_THIS_MACHINE: Final = frozenset({"sources.json"})  # paths and the environment's digest
_KINDS: Final = frozenset({".json", ".npz"})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the same contents give the same bytes


class PackError(ValueError):
    """There is nothing to pack, or a file is no pack; the message says what to do."""


class PackWriteError(IncompleteError):
    """The pack could not be written."""


def write_pack(folder: Path, path: Path) -> tuple[int, str]:
    """Pack a finished audit.

    Args:
        folder: its output folder.
        path: the pack, a ZIP file.

    Returns:
        How many files it holds, and a note where the explainer's source is not among them.

    Raises:
        PackError: no result or no evidence there.
        PackWriteError: the disk is full, or the folder of the pack cannot be written to.
    """
    if not (folder / RESULT).is_file() or not (folder / EVIDENCE).is_dir():
        raise PackError(
            f"expected the folder of a finished audit with {RESULT} and {EVIDENCE}, got "
            f"'{folder}'; give the --out of 'audit check'"
        )
    result = read_result(folder / RESULT)
    contents = {RESULT: (folder / RESULT).read_bytes(), REPORT: render_html(result).encode()}
    contents |= {name: file.read_bytes() for name, file in _evidence(folder)}
    source, note = _source(result)
    contents |= source
    contents[SUMS] = sums_text({name: digest(data) for name, data in contents.items()}).encode()
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as pack:
            for name in sorted(contents):
                pack.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name], zipfile.ZIP_DEFLATED)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PackWriteError(
            f"cannot write '{path}': {error.strerror or error}; free space or choose another --out"
        ) from error
    return len(contents), note


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sums_text(sums: dict[str, str]) -> str:
    """Checksums as ``sha256sum --check`` reads them."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def read_sums(text: str) -> dict[str, str]:
    """Checksum by file name.

    Raises:
        PackError: a line that is none.
    """
    found = {}
    for line in text.splitlines():
        digest_, gap, name = line.partition("  ")
        if not gap or len(digest_) != 64:
            raise PackError(f"{SUMS}: expected lines 'CHECKSUM  FILE', got '{line[:80]}'")
        found[name] = digest_
    return found


def _evidence(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files that are judged, without those of unfinished tasks."""
    evidence = folder / EVIDENCE
    for file in sorted([*evidence.glob("*"), *evidence.glob("look-*/*")]):
        if file.is_file() and file.suffix in _KINDS and file.name not in _OF_THIS_MACHINE:
            yield PurePosixPath(file.relative_to(folder)).as_posix(), file


def _source(result: Result) -> tuple[dict[str, bytes], str]:
    """The explainer's file, where it is still the one that was audited."""
    named, wanted = result.explainer.source_file, result.explainer.source_sha256
    if not named or not wanted:
        return {}, "the explainer has no source file; its source is not in the pack"
    for root in (Path(), Path(__file__).parents[2]):
        file = root / named
        if file.is_file() and digest(data := file.read_bytes()) == wanted:
            return {f"{SOURCE}/{file.name}": data}, ""
    return {}, f"'{named}' is not there any more as it was audited; its source is not in the pack"
