"""What a project starts with: a commented ``audit.toml``, its CI files, and a ``.gitignore``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo

from audit.config.settings import Settings
from audit.engine import ci_files
from audit.reports.output import write_whole

WORKFLOW = Path(".github") / "workflows" / "audit.yml"
GITLAB = Path(".gitlab") / "audit.yml"
GITLAB_MAIN = Path(".gitlab-ci.yml")
PRE_COMMIT = Path(".pre-commit-config.yaml")
IGNORE = Path(".gitignore")
_SHOWN_BY_DEFAULT = ("explainer", "formats", "fail_on")
_NOT_IN_A_FILE = ("from_evidence", "pair", "resume")

_WAIVER_TEXT = """\
# A violation that is accepted for a while. It fails again on the day after `expires`.
# [[waivers]]
# check = "P104"
# reason = "known, fixed in the next release"
# owner = "vision-team"
# expires = 2030-01-31
"""


class StartError(ValueError):
    """A file exists already, or what the files should refer to does not."""


@dataclass(frozen=True)
class Wanted:
    """Which CI files to write, and where they find explainer-audit.

    Attributes:
        action: of GitHub, ``OWNER/REPO@REF`` or ``./FOLDER``; None leaves a place to fill in.
        checkout: for GitLab and pre-commit, ``ADDRESS@REV`` or a folder; None likewise.
        gitlab: write the job of GitLab.
        pre_commit: write the settings of pre-commit.
        matrix: several models, data and seeds in the workflow of GitHub.
    """

    action: str | None = None
    checkout: str | None = None
    gitlab: bool = False
    pre_commit: bool = False
    matrix: bool = False


def start(folder: Path, explainer: str, wanted: Wanted, *, force: bool) -> list[str]:
    """Write the settings, the CI files and what git ignores.

    Args:
        folder: the project's root.
        explainer: the one to audit.
        wanted: which CI files.
        force: overwrite existing files, but for those that hold more than the audit.

    Returns:
        What was done and what is left to do, line by line.

    Raises:
        StartError: a file exists already, or the action or checkout does not; nothing is written.
        OSError: the folder cannot be written.
    """
    _must_exist(folder, wanted)
    texts = {
        Path("audit.toml"): settings_text(explainer),
        WORKFLOW: _workflow(wanted),
    }
    if wanted.gitlab:
        texts[GITLAB] = ci_files.gitlab_text(wanted.checkout)
    there = [path for path in texts if (folder / path).exists()]
    if there and not force:
        raise StartError(f"'{folder / there[0]}' exists already; --force overwrites it")
    shared, told = _shared_files(folder, wanted)
    for path, text in {**texts, **shared}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / path, text)
    return [*(f"wrote {path}" for path in (*texts, *shared)), *told, *_left_to_fill(wanted)]


def _workflow(wanted: Wanted) -> str:
    return ci_files.workflow_text(wanted.action or ci_files.NO_ACTION, matrix=wanted.matrix)


def _must_exist(folder: Path, wanted: Wanted) -> None:
    """Refuse an action or a checkout that is in no form known, or a local one that is not there."""
    action, checkout = wanted.action, wanted.checkout
    local = action is not None and action.startswith("./")
    if local and not (folder / str(action) / "action.yml").is_file():
        raise StartError(
            f"--action: expected the folder of the action, found no action.yml in '{action}'; give "
            "it from the root of the repository, or as OWNER/REPO@REF"
        )
    if action and not local and not re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", action):
        raise StartError(
            f"--action: expected OWNER/REPO@REF or ./FOLDER, got '{action}'; it names the "
            "repository that holds explainer-audit, and a tag or commit of it"
        )
    place = Path(ci_files.Checkout.parse(checkout).address) if checkout else None
    if place and place.is_dir() and not (place / ".pre-commit-hooks.yaml").is_file():
        raise StartError(
            f"--checkout: expected a checkout of explainer-audit, found no .pre-commit-hooks.yaml "
            f"in '{place}'; give its root, or its address as ADDRESS@REV"
        )


def _shared_files(folder: Path, wanted: Wanted) -> tuple[dict[Path, str], list[str]]:
    """Files that hold more than the audit: new, or with lines added; else lines to add by hand."""
    texts, told = {}, []
    before = _read(folder / IGNORE)
    listed = {line.strip().strip("/") for line in before.splitlines()}
    missing = [line for line in ci_files.IGNORED if line.strip("/") not in listed]
    if missing:
        gap = "" if not before or before.endswith("\n") else "\n"
        texts[IGNORE] = f"{before}{gap}" + "".join(f"{line}\n" for line in missing)
    parts = {
        PRE_COMMIT: ci_files.pre_commit_text(wanted.checkout or ci_files.NO_CHECKOUT),
        GITLAB_MAIN: ci_files.GITLAB_INCLUDE,
    }
    asked = {PRE_COMMIT: wanted.pre_commit, GITLAB_MAIN: wanted.gitlab}
    for path, text in parts.items():
        if asked[path] and not (folder / path).exists():
            texts[path] = text
        elif asked[path] and text not in _read(folder / path):
            told.append(f"{path} exists already; add to it:\n{text.rstrip()}")
    return texts, told


def _left_to_fill(wanted: Wanted) -> Iterator[str]:
    if wanted.action is None:
        yield f"fill in {ci_files.NO_ACTION} in {WORKFLOW}, or give it as --action with --force"
    if wanted.checkout is None and wanted.gitlab:
        yield f"fill in AUDIT_SOURCE in {GITLAB}: a checkout of explainer-audit or git+ADDRESS@REV"
    if wanted.checkout is None and wanted.pre_commit:
        yield f"fill in ADDRESS and REV in {PRE_COMMIT}: explainer-audit's own repository"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def settings_text(explainer: str) -> str:
    """A commented ``audit.toml`` with every setting and its default."""
    head = "# Settings of `audit check`; a command-line option takes precedence.\n\n"
    lines = "\n".join(_setting_lines(explainer))
    return f"{head}{lines}\n\n{_tables()}\n{_WAIVER_TEXT}"


def _setting_lines(explainer: str) -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        default = explainer if name == "explainer" else field.get_default(call_default_factory=True)
        if name in _NOT_IN_A_FILE or isinstance(default, dict) or name == "waivers":
            continue
        yield f"# {_description(field)}"
        shown = "" if name in _SHOWN_BY_DEFAULT else "# "
        yield f"{shown}{name.replace('_', '-')} = {_toml(default)}"


def _tables() -> str:
    """Settings that are tables, which TOML wants last."""
    examples = {
        "options": 'heads = "model"',
        "severity": 'P201 = "warning"',
        "thresholds": "P201 = { clear = 0.6 }",
    }
    fields = Settings.model_fields
    return "\n".join(
        f"# {_description(fields[name])}\n# [{name}]\n# {example}\n"
        for name, example in examples.items()
    )


def _description(field: FieldInfo) -> str:
    return str(field.description)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return '""' if value is None else json.dumps(value)
