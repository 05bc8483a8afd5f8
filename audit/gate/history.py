"""The history of a project's audits: results in a folder, and an index of one line each."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from audit.former_names import present_explainer
from audit.result import wording as words
from audit.result.document import render_json
from audit.result.finding import Verdict
from audit.result.schema import Result
from audit.result.shown_pairs import without_gallery

FOLDER = Path(".audit") / "history"
KEPT = 200


class HistoryError(ValueError):
    """The history has no such result; the message says what to do."""


class Entry(BaseModel):
    """One audit of the past."""

    model_config = ConfigDict(frozen=True)

    started: str
    commit: str | None
    explainer: str
    model: str
    data: str
    verdict: str
    exit_code: int
    violated: list[str]
    quality: float | None
    file: str


def keep(result: Result, root: Path) -> Path:
    """Add a result to the history below a folder; the oldest beyond 200 are dropped.

    The gallery of all pairs, most of a result's size, stays with the report.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    ignore = root / FOLDER.parts[0] / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    text = render_json(without_gallery(result))
    stamp = result.timing.started.replace(":", "").replace("-", "")[:15]
    path = folder / f"{stamp}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    with (folder / "index.jsonl").open("a", encoding="utf-8") as index:
        index.write(_entry(result, path.name).model_dump_json() + "\n")
    for old in entries(root)[:-KEPT]:
        (folder / old.file).unlink(missing_ok=True)
    return path


def entries(root: Path, explainer: str | None = None) -> list[Entry]:
    """Past audits whose result is still there, newest last.

    Audits that started within the same second stay in the order in which they were kept.
    """
    explainer = _present(explainer) if explainer else explainer
    found = {
        entry.file: entry
        for entry in _index(root / FOLDER / "index.jsonl")
        if (root / FOLDER / entry.file).is_file() and _is_of(entry, explainer)
    }
    return sorted(found.values(), key=lambda entry: entry.started)


def of_one_explainer(root: Path, explainer: str | None = None) -> list[Entry]:
    """Past audits of one explainer under one set of options, newest last.

    Args:
        root: folder of the history.
        explainer: its name, with its options in parentheses where there are several.

    Raises:
        HistoryError: there is none, or there are several to choose from.
    """
    found = entries(root, explainer)
    if not found:
        raise HistoryError(none_found(root, explainer))
    names = sorted({entry.explainer for entry in found})
    name = explainer if explainer in names else names[0]
    if len(names) > 1 and name != explainer:
        listed = ", ".join(f"'{one}'" for one in names)
        raise HistoryError(
            f"a trend is of one explainer, but there are audits of {listed}; choose one with "
            "--explainer"
        )
    return [entry for entry in found if entry.explainer == name]


def entry_line(entry: Entry) -> str:
    """One line about a past audit."""
    quality = "" if entry.quality is None else f"  quality {entry.quality:.3f}"
    violated = f"  {', '.join(entry.violated)}" if entry.violated else ""
    commit = (entry.commit or "")[:7] or "-"
    return (
        f"{entry.started}  {commit:<7}  {entry.verdict:<10}  {entry.explainer}, {entry.model}, "
        f"{entry.data}{quality}{violated}  {FOLDER / entry.file}"
    )


def latest(root: Path, explainer: str | None = None) -> Path:
    """File of the newest result.

    Raises:
        HistoryError: there is none.
    """
    found = entries(root, explainer)
    if not found:
        raise HistoryError(none_found(root, explainer))
    return root / FOLDER / found[-1].file


def none_found(root: Path, explainer: str | None) -> str:
    """That there is no audit, or none of an explainer, and what to do."""
    known = sorted({entry.explainer for entry in entries(root)})
    if explainer and known:
        listed = ", ".join(f"'{name}'" for name in known)
        return f"no audits of '{explainer}' in '{root / FOLDER}', which has some of {listed}"
    return f"no audits in '{root / FOLDER}' yet; run 'audit check' in this folder first"


def _index(path: Path) -> Iterator[Entry]:
    lines = (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    )
    for line in lines:
        with contextlib.suppress(ValidationError):  # a line that was cut off
            entry = Entry.model_validate_json(line)
            yield entry.model_copy(update={"explainer": _present(entry.explainer)})


def _present(phrase: str) -> str:
    """An explainer, with its options in parentheses or without, under its present name."""
    name, bracket, options = phrase.partition(" (")
    return f"{present_explainer(name)[0]}{bracket}{options}"


def _is_of(entry: Entry, explainer: str | None) -> bool:
    """With any options, or with those that are written out."""
    return explainer is None or f"{entry.explainer} (".startswith(f"{explainer} (")


def _entry(result: Result, file: str) -> Entry:
    measured = [p.values.get(result.decides) for p in result.pair_quality]
    known = [value for value in measured if value is not None]
    return Entry(
        started=result.timing.started,
        commit=result.conditions.git_commit,
        explainer=words.explainer_phrase(result),
        model=result.model.name,
        data=result.data.name,
        verdict=result.verdict,
        exit_code=result.exit_code,
        violated=[c.id for c in result.checks if c.finding.verdict is Verdict.VIOLATION],
        quality=sum(known) / len(known) if known else None,
        file=file,
    )
