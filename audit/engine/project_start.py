"""What a project starts with: a commented ``audit.toml`` and a CI workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from audit.config.settings import Settings
from audit.reports.output import write_whole

WORKFLOW = Path(".github") / "workflows" / "audit.yml"
_SHOWN_BY_DEFAULT = ("explainer", "formats", "fail_on")
_NOT_IN_A_FILE = ("from_evidence", "pair", "resume")

_WORKFLOW_TEXT = """\
# Audits the explainer named in audit.toml on every change; written by `audit init`.
name: audit
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  audit:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
      - run: python -m pip install explainer-audit
      - run: audit check --no-history --format github,html,markdown,sarif
      - if: always()
        run: cat audit-report/summary.md >> "$GITHUB_STEP_SUMMARY" || true
      - if: always()
        uses: actions/upload-artifact@v4
        with:
          name: audit-report
          path: audit-report
"""

_WAIVER_TEXT = """\
# A violation that is accepted for a while. It fails again on the day after `expires`.
# [[waivers]]
# check = "P104"
# reason = "known, fixed in the next release"
# owner = "vision-team"
# expires = 2030-01-31
"""


class StartError(ValueError):
    """A file exists already."""


def start(folder: Path, explainer: str, *, force: bool) -> list[Path]:
    """Write the settings and the workflow.

    Args:
        folder: the project's root.
        explainer: the one to audit.
        force: overwrite existing files.

    Raises:
        StartError: a file exists already; nothing is written.
        OSError: the folder cannot be written.
    """
    texts = {folder / "audit.toml": settings_text(explainer), folder / WORKFLOW: _WORKFLOW_TEXT}
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise StartError(f"'{there[0]}' exists already; --force overwrites it")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    return list(texts)


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
        "thresholds": "P201 = { correlation = 0.6 }",
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
