"""A git revision as the baseline: the explainer as it was there, audited with the same settings.

The audit of the revision runs in a temporary worktree and in a process of its own, so that no
module of the working tree stands in for one of the revision.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.engine.git_revision import (
    commit_of,
    must_hold,
    repository_root,
    untied_environment,
    worktree,
)
from audit.errors import USAGE, IncompleteError, ending
from audit.result.document import read_result
from audit.result.gate_rule import went_wrong
from audit.result.schema import Result

FOLDER = "baseline"
_DISTRIBUTION = Path(__file__).resolve().parents[2]
_BUNDLED = "bundled"
_LOCAL_MODEL = "local-dir:"
_CHILD = """\
import sys
sys.path[:1] = [] if sys.argv[1] in sys.path else [sys.argv[1]]
from audit.engine.baseline_revision import audit_here
audit_here(sys.stdin.read(), *sys.argv[2:])
"""


@dataclass(frozen=True)
class _Trees:
    """Root of the working tree, and of the revision's."""

    working: Path
    revision: Path

    def moved(self, path: str) -> str:
        """The same place in the revision's tree; places outside stay."""
        resolved = Path(path).resolve()
        if not Path(path).is_absolute() or not resolved.is_relative_to(self.working):
            return path
        return str(self.revision / resolved.relative_to(self.working))

    def python_path(self) -> dict[str, str]:
        """`PYTHONPATH`, with the revision's folders in place of the working tree's."""
        given = os.environ.get("PYTHONPATH")
        entries = given.split(os.pathsep) if given else []
        moved = os.pathsep.join(self.moved(one) if one else one for one in entries)
        return {"PYTHONPATH": moved} if given else {}


def with_baseline_of_revision(settings: Settings) -> Settings:
    """The settings with the result of their revision as the baseline, after its audit.

    Its reports and evidence stay in the folder ``baseline`` below that of the reports.

    Raises:
        SettingsError: no git repository, no such revision, or an explainer that is not in it.
        IncompleteError: the audit of the revision did not come to an end.
    """
    revision = settings.baseline_rev
    if revision is None:
        return settings
    if settings.baseline or settings.from_evidence:
        other = "--baseline" if settings.baseline else "--from-evidence"
        raise SettingsError(
            f"--baseline-rev runs an audit of its own and does not go with {other}; leave one out "
            f"(the result of an earlier --baseline-rev lies in '{Path(settings.out) / FOLDER}')"
        )
    root = repository_root()
    commit = commit_of(revision)
    file = _explainer_file(settings.explainer, root)
    must_hold(commit, revision, file.relative_to(root).as_posix())
    out = (Path(settings.out) / FOLDER).resolve()
    with worktree(commit) as (tree, ending_file):
        folder = tree / Path.cwd().resolve().relative_to(root)
        folder.mkdir(parents=True, exist_ok=True)
        trees = _Trees(root, tree)
        _audit_in(folder, _same_settings(settings, out, trees), trees, ending_file, revision)
    result = out / "result.json"
    _must_be_of(result, commit, revision)
    return settings.model_copy(update={"baseline": str(Path(settings.out) / FOLDER / result.name)})


def audit_here(settings: str, working_tree: str, ending_file: str) -> None:
    """Audit in the current folder; what went wrong is written to a file, code and message.

    Args:
        settings: `Settings` as JSON.
        working_tree: root of the repository, from which nothing may be imported.
        ending_file: written only where the audit did not come to an end.
    """
    from audit.engine.checking import check_explainer

    try:
        result, _ = check_explainer(Settings.model_validate_json(settings), foreign=working_tree)
        _must_be_complete(result)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - told by the parent
        message, code = ending(error)
        Path(ending_file).write_text(f"{code} {message}", encoding="utf-8")


def _must_be_complete(result: Result) -> None:
    """What was not judged is no baseline.

    Raises:
        IncompleteError: the audit was not completed.
    """
    if went_wrong(result.checks, result.failures):
        causes = [failure.message for failure in result.failures] or [result.headline]
        raise IncompleteError(f"it ended without a verdict: {causes[0]}")


def _explainer_file(explainer: str, root: Path) -> Path:
    """The explainer's file in the repository.

    Raises:
        SettingsError: it has none, so that the revision would make no difference.
    """
    place = explainer.partition("?")[0].removeprefix("inverted:").rpartition(":")[0]
    module = place.replace(".", "/")
    names = [place] if place.endswith(".py") else [f"{module}.py", f"{module}/__init__.py"]
    for file in (Path(name).expanduser().resolve() for name in names if place):
        if file.is_relative_to(root) and file.is_file():
            return file
    raise SettingsError(
        f"--baseline-rev: the explainer '{explainer}' does not come from a file of the repository "
        f"'{root}', so that its result would be the same at every revision; leave --baseline-rev "
        "out, or give the explainer as FILE.py:FUNCTION"
    )


def _must_be_of(path: Path, commit: str, revision: str) -> None:
    try:
        found = read_result(path).conditions.git_commit
    except OSError:
        found = None
    if found != commit:
        raise IncompleteError(
            f"the audit of revision '{revision}' ended without a result in '{path}'; its explainer "
            "may have ended the process"
        )


def _same_settings(settings: Settings, out: Path, trees: _Trees) -> Settings:
    """The settings for another working folder; the gate's own do not matter to a baseline."""
    name, colon, function = settings.explainer.partition(".py:")
    return settings.model_copy(
        update={
            "explainer": f"{trees.moved(name) if colon else name}{colon}{function}",
            "model": _absolute(settings.model),
            "pretrained": settings.pretrained and _absolute(settings.pretrained),
            "ladder": tuple(_absolute(source) for source in settings.ladder),
            "data": settings.data if settings.data == _BUNDLED else str(_resolved(settings.data)),
            "out": str(out),
            "formats": ("json",),
            "waivers": (),
            "attest": None,
            "history": False,
            "baseline_rev": None,
        }
    )


def _absolute(source: str) -> str:
    """A name of a model or of weights, with the path in it, if any, made absolute."""
    if source.startswith(_LOCAL_MODEL):
        return f"{_LOCAL_MODEL}{_resolved(source.removeprefix(_LOCAL_MODEL))}"
    return str(_resolved(source)) if _resolved(source).is_file() else source


def _resolved(path: str) -> Path:
    return Path(path).expanduser().resolve()


def _audit_in(
    folder: Path, settings: Settings, trees: _Trees, ending_file: Path, revision: str
) -> None:
    (Path(settings.out) / "result.json").unlink(missing_ok=True)
    given = [str(_DISTRIBUTION), str(trees.working), str(ending_file)]
    words = [sys.executable, "-c", _CHILD, *given]
    done = subprocess.run(  # noqa: S603
        words,
        input=settings.model_dump_json(),
        cwd=folder,
        env=untied_environment() | trees.python_path(),
        stdout=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )
    told = ending_file.read_text(encoding="utf-8") if ending_file.is_file() else ""
    code, _, message = told.partition(" ")
    if told and int(code) == USAGE:
        raise SettingsError(f"the audit of revision '{revision}': {message}")
    if told or done.returncode != 0:
        how = message or f"the process ended with {done.returncode}"
        raise IncompleteError(f"the audit of revision '{revision}' could not be completed: {how}")
