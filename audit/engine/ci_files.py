"""The files by which a project's CI runs the audit, as `audit init` writes them.

The pages of ``docs`` show the same text, and a test compares them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

ACTION = ".github/actions/audit"
NO_ACTION = "OWNER/REPO@REF"
NO_CHECKOUT = "ADDRESS@REV"
IGNORED = ("audit-report/", ".audit/")

_WORKFLOW = """\
# Audits the explainer named in audit.toml on every change; written by `audit init`.
name: audit
on:
  push:
    branches: [main]
  pull_request:
permissions:
  actions: read
  contents: read
  security-events: write
jobs:
  audit:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
{note}      - uses: {action}
"""
_MATRIX = """\
# Audits the explainer named in audit.toml on several models and data, each with several seeds, and
# sums up: the median and the worst run, as a comment of the pull request and as a badge; written by
# `audit init --matrix`.
name: audit
on:
  push:
    branches: [main]
  pull_request:
permissions:
  actions: read
  contents: read
  pull-requests: write
jobs:
  audit:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    strategy:
      fail-fast: false
      matrix:
        subject:
          - {{name: bundled, arguments: --model bundled --data bundled}}
          # - {{name: photos, arguments: --model ViT-B-16 --pretrained openai --data photos}}
        seed: [0, 1, 2]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
{note}      - uses: {action}
        continue-on-error: true
        with:
          arguments: ${{{{ matrix.subject.arguments }}}} --seed ${{{{ matrix.seed }}}}
          artifact: audit-${{{{ matrix.subject.name }}}}-${{{{ matrix.seed }}}}
          upload-sarif: "false"
  summary:
    needs: audit
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - uses: actions/download-artifact@v4
        with:
          pattern: audit-*
          path: runs
      - uses: {action}
        with:
          summary: runs
      - if: always() && github.event_name == 'pull_request'
        continue-on-error: true # a fork's token may not comment
        env:
          GH_TOKEN: ${{{{ github.token }}}}
          NUMBER: ${{{{ github.event.number }}}}
        run: >-
          gh pr comment "$NUMBER" --edit-last --create-if-none
          --body-file audit-report/summary.md
"""
_ACTION_NOTE = """\
      # OWNER/REPO is the repository that holds explainer-audit, REF a tag or commit of it.
"""

_GITLAB = """\
# Audits the explainer named in audit.toml; for GitLab CI.
variables:
  # What pip installs: a folder with a checkout of explainer-audit, or git+ADDRESS@REV.
  AUDIT_SOURCE: {source}
  # Address of a package index with builds of torch and torchvision for the CPU, and of one that
  # pip asks beside its own; both may stay empty.
  AUDIT_TORCH_INDEX: ""
  AUDIT_EXTRA_INDEX: ""
audit:
  image: python:3.12
  stage: test
  script:
    - |
      if [ -z "$AUDIT_SOURCE" ]; then
        echo "AUDIT_SOURCE: expected a checkout of explainer-audit or git+ADDRESS@REV, got none"
        exit 2
      fi
    - |
      if [ -n "$AUDIT_TORCH_INDEX" ]; then
        python -m pip install --index-url "$AUDIT_TORCH_INDEX" torch torchvision
      fi
    - >-
      python -m pip install
      ${{AUDIT_EXTRA_INDEX:+--extra-index-url "$AUDIT_EXTRA_INDEX"}} "$AUDIT_SOURCE"
    - audit check --no-history --format html,junit,markdown
  artifacts:
    when: always
    paths:
      - audit-report
    reports:
      junit: audit-report/junit.xml
"""

GITLAB_INCLUDE = """\
include:
  - local: .gitlab/audit.yml
"""

_PRE_COMMIT = """\
repos:
  - repo: {address}
    rev: {rev}
    hooks:
      - id: audit
"""


@dataclass(frozen=True)
class Checkout:
    """Where explainer-audit's own repository is: an address or a folder, and a revision of it."""

    address: str
    rev: str

    @classmethod
    def parse(cls, word: str) -> Checkout:
        """Read ``ADDRESS@REV``; without a revision it is ``HEAD``."""
        match = re.fullmatch(r"(.+)@([^@:/]+)", word)
        return cls(match[1], match[2]) if match else cls(word, "HEAD")

    @property
    def source(self) -> str:
        """What pip installs."""
        folder = Path(self.address).is_dir()
        return self.address if folder else f"git+{self.address}@{self.rev}"


def workflow_text(action: str = NO_ACTION, *, matrix: bool = False) -> str:
    """The workflow of GitHub.

    Args:
        action: repository of the action as ``OWNER/REPO@REF``, or its folder in the project's own
            repository as ``./FOLDER``.
        matrix: of several models, data and seeds, with a summary of all runs.
    """
    repository, _, ref = action.partition("@")
    place = action if action.startswith("./") else f"{repository}/{ACTION}@{ref}"
    text = _MATRIX if matrix else _WORKFLOW
    return text.format(action=place, note=_ACTION_NOTE if action == NO_ACTION else "")


def gitlab_text(checkout: str | None = None) -> str:
    """The job of GitLab; without a checkout the project sets ``AUDIT_SOURCE`` itself."""
    source = Checkout.parse(checkout).source if checkout else ""
    return _GITLAB.format(source=json.dumps(source))


def pre_commit_text(checkout: str = NO_CHECKOUT) -> str:
    """The settings of pre-commit."""
    where = Checkout.parse(checkout)
    return _PRE_COMMIT.format(address=_word(where.address), rev=_word(where.rev))


def _word(text: str) -> str:
    """A word of YAML, quoted where it has to be."""
    return text if re.fullmatch(r"[A-Za-z/.][\w./@+-]*(:[\w./@+-]+)*", text) else json.dumps(text)
