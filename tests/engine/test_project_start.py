"""``audit init``: files that work as they are, and that are never overwritten by accident."""

from pathlib import Path

import yaml

from audit.config.settings import Settings, load_settings
from audit.engine.project_start import WORKFLOW, settings_text, start
from audit.judging.selection import selected_checks


def test_written_settings_load_and_are_the_defaults(tmp_path):
    start(tmp_path, "grad-eclip", force=False)
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
    assert "'audit.toml' is there already; --force overwrites it" in refused.output
    assert not WORKFLOW.exists()
    assert command("init", "--force").exit_code == 0
    assert "seed = 1" not in Path("audit.toml").read_text().splitlines()


def test_explainer_names_are_quoted(tmp_path):
    start(tmp_path, 'C:\\odd "name".py:f', force=False)
    assert load_settings({}, tmp_path).explainer == 'C:\\odd "name".py:f'


def audit_words(text):
    """Every `audit …` command in a script."""
    return [line.split() for line in text.splitlines() if line.strip().startswith("audit ")]


def test_workflow_runs_commands_that_exist(tmp_path, command):
    start(tmp_path, "grad-attention", force=False)
    workflow = yaml.safe_load((tmp_path / WORKFLOW).read_text())
    steps = workflow["jobs"]["audit"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    ((_, *words),) = audit_words("\n".join(runs))
    shown = command(*words, "--show-settings")
    assert shown.exit_code == 0, shown.output
    assert workflow["permissions"] == {"contents": "read"}
