"""A revision of the git repository that the working folder lies in, and a worktree of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.config.settings import SettingsError
from audit.errors import IncompleteError

_OURS = Path(__file__).resolve().parents[2]
_OUR_PACKAGES = ("audit", "principles", "report_templates")


def repository_root() -> Path:
    """Root of the repository that the working folder lies in.

    Raises:
        SettingsError: there is no git, or no repository.
    """
    try:
        found = _run_git("rev-parse", "--show-toplevel")
    except FileNotFoundError as error:
        raise SettingsError(
            "--baseline-rev needs the command git, found none; install it, or give --baseline "
            "with the result of an earlier audit"
        ) from error
    if found.returncode != 0:
        raise SettingsError(
            f"--baseline-rev needs a git repository, '{Path.cwd()}' is in none that git reads "
            f"({found.stderr.strip()}); run the audit in one, or give --baseline with the result "
            "of an earlier audit"
        )
    return Path(found.stdout.strip()).resolve()


def commit_of(revision: str) -> str:
    """Hash of a revision's commit.

    Raises:
        SettingsError: there is no such revision.
    """
    named = not revision.startswith("-")
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") if named else None
    if commit is None:
        shallow = _git("rev-parse", "--is-shallow-repository") == "true"
        advice = (
            "this is a shallow clone: fetch its history first (fetch-depth: 0 of "
            "actions/checkout, GIT_DEPTH: 0 of GitLab)"
            if shallow
            else "give a branch, tag or commit ('git log --oneline' shows them)"
        )
        raise SettingsError(f"--baseline-rev: no revision '{revision}' here; {advice}")
    return commit


def must_hold(commit: str, revision: str, file: str) -> None:
    """Refuse a revision that does not hold a file.

    Raises:
        SettingsError: it does not.
    """
    if _git("cat-file", "-e", f"{commit}:{file}") is None:
        raise SettingsError(
            f"--baseline-rev: the explainer's file '{file}' is not in revision '{revision}' "
            f"({commit[:12]}); give a revision that has it, or leave --baseline-rev out where the "
            "explainer is new"
        )


@contextmanager
def worktree(commit: str) -> Iterator[tuple[Path, Path]]:
    """A temporary worktree of a commit, and the path of a file beside it."""
    with tempfile.TemporaryDirectory(prefix="audit-baseline-") as scratch:
        tree = Path(scratch).resolve() / "tree"
        quiet = ("-c", f"core.hooksPath={os.devnull}")
        if _git(*quiet, "worktree", "add", "--quiet", "--detach", str(tree), commit) is None:
            raise IncompleteError(
                f"cannot make a git worktree of {commit[:12]} in '{scratch}'; free space, or "
                "choose another place for temporary files by TMPDIR"
            )
        try:
            yield tree, tree.with_name("ending")
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> str | None:
    """What git says, None where it fails."""
    done = _run_git(*words)
    return done.stdout.strip() if done.returncode == 0 else None


def _run_git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["git", *words],  # noqa: S607
        capture_output=True,
        env=untied_environment(),
        text=True,
        check=False,
    )


def untied_environment() -> dict[str, str]:
    """Without what ties git to one worktree and index, as it is set where a hook runs."""
    tied = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}
    return {name: value for name, value in os.environ.items() if name not in tied}


def must_not_import_from(working_tree: Path) -> None:
    """A module of the working tree, such as one installed in editable mode, is not the revision's.

    Raises:
        SettingsError: one was imported.
    """
    allowed = (Path(sys.prefix).resolve(), *(_OURS / name for name in _OUR_PACKAGES))
    for name, module in sorted(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or os.devnull).resolve()
        if file.is_relative_to(working_tree) and not any(map(file.is_relative_to, allowed)):
            raise SettingsError(
                f"its explainer imports '{name}' from the working tree ('{file}'), where it is "
                "installed in editable mode or on an absolute path; make it importable from "
                "the explainer's folder, or install the revision and give its result by --baseline"
            )
