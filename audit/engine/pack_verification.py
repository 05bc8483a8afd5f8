"""Whether an evidence pack is whole, and whether its evidence gives the verdict that it states."""

from __future__ import annotations

import ast
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from audit.config.settings import Settings
from audit.config.settings_file import call_settings
from audit.engine.evidence_pack import (
    EVIDENCE,
    RESULT,
    SOURCE,
    SUMS,
    PackError,
    digest,
    read_sums,
)
from audit.engine.rejudging import rejudge
from audit.result.document import load_result, render_json
from audit.result.gate_rule import VERDICTS, exit_code, rule_of
from audit.result.schema import CheckResult, Result
from audit.result.wording import counted
from audit.version import __version__

_JUDGED: Final = ("verdict", "severity", "summary", "detail", "statistics", "samples", "remedy")
_MOST_BYTES: Final = 4_000_000_000  # unpacked, so that a small file cannot fill a disk


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        lines: for the reader; those that begin with ``!`` are differences.
        exit_code: 0 where there is no difference, else 1.
    """

    lines: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 where anything differs."""
        return int(any(line.startswith("!") for line in self.lines))


def verify_pack(path: Path) -> Verification:
    """Recompute the checksums, judge the evidence again, and tell every difference.

    Args:
        path: a pack, or a folder that one was unpacked into.

    Raises:
        PackError: it is no pack.
        StoreError: its evidence cannot be read.
    """
    if path.is_dir():
        return Verification(tuple(_verified(path)))
    with tempfile.TemporaryDirectory(prefix="audit-pack-") as folder:
        _unpack(path, Path(folder))
        return Verification(tuple(_verified(Path(folder))))


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as pack:
            if sum(one.file_size for one in pack.infolist()) > _MOST_BYTES:
                raise PackError(f"'{path}': expected at most 4 GB of evidence, found more")
            pack.extractall(folder)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise PackError(
            f"'{path}': expected a pack as 'audit pack' writes it, or its folder: {error}"
        ) from error


def _verified(folder: Path) -> Iterator[str]:
    sums = folder / SUMS
    if not sums.is_file() or not (folder / RESULT).is_file():
        raise PackError(
            f"expected {SUMS} and {RESULT} in a pack, found none; 'audit pack' writes one"
        )
    differences = list(_checksum_lines(folder, read_sums(sums.read_text(encoding="utf-8"))))
    yield from differences
    if any(f"'{RESULT}'" in line or f"'{EVIDENCE}/" in line for line in differences):
        yield "! the evidence is not judged again, since it is not what was packed"
        return
    result = load_result((folder / RESULT).read_text(encoding="utf-8"))
    yield _heading(result)
    yield from _source_lines(folder, result)
    yield from _judged_again(folder, result)
    yield from _gate_lines(result)


def _heading(result: Result) -> str:
    version = result.conditions.audit_version
    other = "" if version == __version__ else f", now judged by {__version__}"
    return f"  {result.headline} (explainer-audit {version}{other})"


def _checksum_lines(folder: Path, sums: dict[str, str]) -> Iterator[str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    there = {PurePosixPath(file.relative_to(folder)).as_posix(): file for file in files}
    there.pop(SUMS, None)
    missing, unlisted = sorted(sums.keys() - there), sorted(there.keys() - sums)
    changed = [n for n in sorted(sums.keys() & there) if digest(there[n].read_bytes()) != sums[n]]
    yield from (f"! '{name}' is missing" for name in missing)
    yield from (f"! '{name}' is not listed in {SUMS}" for name in unlisted)
    yield from (f"! '{name}' is not what was packed: its checksum differs" for name in changed)
    if not (missing or unlisted or changed):
        yield f"  {counted(len(there), 'file')} as listed in {SUMS}"


def _source_lines(folder: Path, result: Result) -> Iterator[str]:
    files = [file for file in (folder / SOURCE).glob("*") if file.is_file()]
    if not files:
        yield "  the explainer's source is not in the pack"
    for file in files:
        same = digest(file.read_bytes()) == result.explainer.source_sha256
        yield (
            f"  {file.name} is the source that was audited"
            if same
            else (f"! {file.name} is not the source that was audited")
        )


def _judged_again(folder: Path, result: Result) -> Iterator[str]:
    again = load_result(render_json(rejudge(folder, _settings(result))))
    now = {check.id: check for check in again.checks}
    different = [c for c in result.checks if _finding(c) != _finding(now[c.id])]
    for check in different:
        was, found = check.finding, now[check.id].finding
        parts = [n for n in _JUDGED if getattr(was, n) != getattr(found, n)]
        what = (
            f"{was.verdict.value} is recorded, the evidence gives {found.verdict.value}"
            if was.verdict is not found.verdict
            else f"another {', '.join(parts)} than is recorded"
        )
        yield f"! {check.id} {check.name}: {what}"
    if not different:
        yield f"  {counted(len(now), 'check')} judged again from the evidence: all as recorded"


def _finding(check: CheckResult) -> tuple[object, ...]:
    return tuple(getattr(check.finding, name) for name in _JUDGED)


def _gate_lines(result: Result) -> Iterator[str]:
    """Whether verdict and exit code follow from the recorded checks."""
    code = exit_code(result.checks, result.failures, **rule_of(result))
    if (code, VERDICTS[code]) == (result.exit_code, result.verdict):
        yield f"  verdict {result.verdict}, exit code {code}: as the checks say"
    else:
        yield (
            f"! verdict {result.verdict}, exit code {result.exit_code} are recorded; the checks "
            f"give {VERDICTS[code]}, {code}"
        )


def _settings(result: Result) -> Settings:
    """Those by which the evidence was judged; the gate is looked at by itself."""
    given: dict[str, Any] = {
        name: _plain(name, written)
        for name in ("severity", "thresholds")
        if (written := result.conditions.settings.get(name))
    }
    select = tuple(check.id for check in result.checks)
    return call_settings({"select": select, "history": False, **given})


def _plain(name: str, written: str) -> Any:
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError) as error:
        raise PackError(f"{RESULT}: setting '{name}' cannot be read: {written[:80]}") from error
