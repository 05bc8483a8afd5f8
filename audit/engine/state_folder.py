"""The folder ``.audit`` of a project, which the tool keeps for itself."""

from __future__ import annotations

from pathlib import Path

STATE = ".audit"


def ignored_by_git(out: Path) -> None:
    """Where the reports go into a new folder ``.audit``, let git ignore it, whatever else it does.

    The pre-commit hook writes there: what a hook leaves must not be committed with the next change.
    A folder that is there already stays as it is, since a project may keep its history in git.
    """
    folder = next((one for one in (out, *out.parents) if one.name == STATE), None)
    if folder is None or folder.exists():
        return
    try:
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError:
        return  # whether the reports can be written is told next
