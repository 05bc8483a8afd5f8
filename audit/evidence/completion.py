"""Whether the evidence in a folder may be used again: to finish an interrupted audit, no more.

Evidence depends on the explainer, whose code can change in ways that nobody sees. So that of a
finished audit is gathered again, unless the user asks for it; and that of an interrupted one is
used only while all sources that were seen are as they were.
"""

from __future__ import annotations

from pathlib import Path

from audit.explainers.sources import what_changed

SOURCES = "sources.json"
_MARK = "finished"


def mark_finished(folder: Path) -> None:
    """Say that the audit of this evidence has been judged and reported."""
    if folder.is_dir():
        (folder / _MARK).touch()


def finished_unchanged(folder: Path) -> bool:
    """Whether the audit of this evidence is finished, and every source that was seen as it was."""
    return (folder / _MARK).is_file() and what_changed(folder / SOURCES) == ""


def may_resume(folder: Path, *, resume: bool, reuse: bool) -> bool:
    """Whether what is in a folder may be used again; from now on it counts as unfinished.

    Where it may not, the record of its sources is removed with it.

    Args:
        folder: of the evidence.
        resume: the user wants an interrupted audit finished.
        reuse: the user wants the evidence of a finished one as well.
    """
    finished = (folder / _MARK).is_file()
    allowed = resume and (reuse or not finished) and what_changed(folder / SOURCES) == ""
    (folder / _MARK).unlink(missing_ok=True)
    if not allowed:
        (folder / SOURCES).unlink(missing_ok=True)
    return allowed
