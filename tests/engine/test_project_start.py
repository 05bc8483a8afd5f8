"""``audit init``: files that work as they are, and that are never overwritten by accident."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from audit.config.settings import Settings
from audit.config.settings_file import load_settings
from audit.engine.ci_files import Checkout, gitlab_text, pre_commit_text, workflow_text
from audit.engine.project_start import WORKFLOW, StartError, Wanted, settings_text, start
from audit.judging.selection import selected_checks

ROOT = Path(__file__).parents[2]
PLAIN = Wanted()


def test_written_settings_load_and_are_the_defaults(tmp_path):
    start(tmp_path, "grad-eclip", PLAIN, force=False)
    assert load_settings({}, tmp_path) == Settings(explainer="grad-eclip")


def test_every_commented_line_works_when_uncommented(tmp_path):
    lines = settings_text("grad-eclip").splitlines()
    bare = [
        line.removeprefix("# ")
        for line in lines
        if " = " in line or line.removeprefix("# ").startswith("[")
    ]
    (tmp_path / "audit.toml").write_text("\n".join(bare))
    settings = load_settings({}, tmp_path)
    assert selected_checks(settings)
    assert len(settings.waivers) == 1
    assert settings.thresholds
    assert settings.severity
    missing = set(Settings.model_fields) - {line.split(" = ")[0].replace("-", "_") for line in bare}
    assert missing == {
        "options",
        "severity",
        "thresholds",
        "waivers",
        "from_evidence",
        "pair",
        "resume",
    }


def test_nothing_is_overwritten_without_force(command):
    assert command("init", "--explainer", "gradient").exit_code == 0
    Path("audit.toml").write_text("seed = 1\n")
    WORKFLOW.unlink()
    refused = command("init")
    assert refused.exit_code == 2
    assert "'audit.toml' exists already; --force overwrites it" in refused.output
    assert not WORKFLOW.exists()
    assert command("init", "--force").exit_code == 0
    assert "seed = 1" not in Path("audit.toml").read_text().splitlines()


def test_explainer_names_are_quoted(tmp_path):
    start(tmp_path, 'C:\\odd "name".py:f', PLAIN, force=False)
    assert load_settings({}, tmp_path).explainer == 'C:\\odd "name".py:f'


def test_the_pages_and_the_template_are_what_init_writes():
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for text in (workflow_text(), workflow_text(matrix=True), gitlab_text(), pre_commit_text()):
        assert text in shown
    template = (ROOT / ".gitlab" / "audit.yml").read_text(encoding="utf-8")
    assert template == gitlab_text()


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ("someone/explainer-audit@v1.2", "someone/explainer-audit/.github/actions/audit@v1.2"),
        ("./.github/actions/audit", "./.github/actions/audit"),
    ],
)
def test_the_workflow_calls_the_action_that_was_named(action, place, tmp_path):
    (tmp_path / ".github").symlink_to(ROOT / ".github")
    assert (ROOT / ".github" / "actions" / "audit" / "action.yml").is_file()
    workflow = yaml.safe_load(workflow_text(action))
    assert workflow["jobs"]["audit"]["steps"][-1] == {"uses": place}
    assert workflow["permissions"]["contents"] == "read"


def test_the_matrix_runs_every_model_and_seed_and_sums_up(command):
    command("init", "--matrix", "--action", "a/b@v1")
    workflow = yaml.safe_load(WORKFLOW.read_text())
    audits, summary = workflow["jobs"]["audit"], workflow["jobs"]["summary"]
    matrix = audits["strategy"]["matrix"]
    assert (len(matrix["subject"]), matrix["seed"]) == (1, [0, 1, 2])
    call = audits["steps"][-1]
    assert call["uses"] == "a/b/.github/actions/audit@v1"
    named = set(re.findall(r"matrix\.(\w+)", json.dumps(call)))
    assert named == set(matrix)
    assert summary["needs"] == "audit"
    assert {"summary": "runs"} in [step.get("with") for step in summary["steps"]]
    assert "gh pr comment" in summary["steps"][-1]["run"]
    assert workflow["permissions"]["pull-requests"] == "write"


def test_what_is_left_to_fill_in_is_told(command):
    told = command("init", "--gitlab", "--pre-commit").output
    assert "wrote .gitlab/audit.yml" in told
    assert "fill in OWNER/REPO@REF in .github/workflows/audit.yml" in told
    assert "fill in AUDIT_SOURCE in .gitlab/audit.yml" in told
    assert "fill in ADDRESS and REV in .pre-commit-config.yaml" in told
    assert "uses: OWNER/REPO/.github/actions/audit@REF" in WORKFLOW.read_text()
    named = ("--action", "a/b@v1", "--checkout", "https://example.org/a/b@v1")
    told = command("init", "--gitlab", "--pre-commit", *named, "--force").output
    assert "fill in" not in told
    # the settings of pre-commit may hold other hooks by now, so that they are not overwritten
    assert "add to it:\nrepos:\n  - repo: https://example.org/a/b\n    rev: v1\n" in told
    job = yaml.safe_load(Path(".gitlab/audit.yml").read_text())
    assert job["variables"]["AUDIT_SOURCE"] == "git+https://example.org/a/b@v1"


@pytest.mark.parametrize(
    ("word", "address", "rev"),
    [
        ("https://example.org/a/b@v1", "https://example.org/a/b", "v1"),
        ("https://me@example.org/a/b", "https://me@example.org/a/b", "HEAD"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git", "HEAD"),
        ("git@example.org:a/b.git@v1", "git@example.org:a/b.git", "v1"),
    ],
)
def test_a_checkout_is_an_address_and_a_revision(word, address, rev):
    assert Checkout.parse(word) == Checkout(address, rev)
    (used,) = yaml.safe_load(pre_commit_text(word))["repos"]
    assert (used["repo"], used["rev"]) == (address, rev)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(action="./nowhere"), "found no action.yml in './nowhere'"),
        (Wanted(action="explainer-audit"), "expected OWNER/REPO@REF or ./FOLDER, got"),
        (Wanted(action="a/b@v1\n      - run: evil"), "expected OWNER/REPO@REF"),
        (Wanted(checkout="."), "found no .pre-commit-hooks.yaml"),
    ],
)
def test_what_the_files_refer_to_exists_or_is_refused(wanted, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartError, match=re.escape(message)):
        start(tmp_path, "gradient", wanted, force=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "audit-report/\n.audit/\n"),
        ("build/", "build/\naudit-report/\n.audit/\n"),
        ("/audit-report\n", "/audit-report\n.audit/\n"),
    ],
)
def test_git_ignores_what_the_tool_writes(before, after, command):
    if before is not None:
        Path(".gitignore").write_text(before)
    assert command("init").exit_code == 0
    assert Path(".gitignore").read_text() == after
    again = command("init", "--force")
    assert "wrote .gitignore" not in again.output
    assert Path(".gitignore").read_text() == after
    subprocess.run(["git", "init", "-q"], check=True)
    for folder in ("audit-report", ".audit"):
        subprocess.run(["git", "check-ignore", "-q", f"{folder}/x"], check=True)


def test_an_existing_pipeline_of_gitlab_is_left_alone(command):
    Path(".gitlab-ci.yml").write_text("build:\n  script: [make]\n")
    told = command("init", "--gitlab").output
    assert "add to it:\ninclude:\n  - local: .gitlab/audit.yml" in told
    assert Path(".gitlab-ci.yml").read_text() == "build:\n  script: [make]\n"
