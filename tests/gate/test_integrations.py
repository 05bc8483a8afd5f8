"""GitHub action, GitLab template and pre-commit hook: what they run, and that inputs stay words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "audit" / "action.yml"


def steps():
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]


def audit_words(text):
    """Every `audit …` command in a script."""
    return [line.split() for line in text.splitlines() if line.strip().startswith("audit ")]


@pytest.fixture
def run_action(tmp_path):
    """Runs the action's audit step as GitHub does; returns the words that `audit` receives."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "audit"
    fake.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open('words.json', 'w'))\n"
    )
    fake.chmod(0o755)
    (script,) = [s["run"] for s in steps() if "audit check" in s.get("run", "")]

    def run(explainer="", arguments="", out="audit-report", summary=""):
        given = {"AUDIT_EXPLAINER": explainer, "AUDIT_ARGUMENTS": arguments, "AUDIT_OUT": out}
        given["AUDIT_SUMMARY"] = summary
        path = f"{programs}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            env={**given, "PATH": path},
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        seen = tmp_path / "words.json"
        return done, json.loads(seen.read_text()) if seen.exists() else None

    return run


FIXED = ["check", "--no-history", "--format", "github,html,markdown,sarif", "--out"]


def test_inputs_reach_the_script_through_the_environment_only():
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    scripts = [step["run"] for step in steps() if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)
    assert all(step["shell"] == "bash" for step in steps() if "run" in step)


def test_without_inputs_the_settings_of_the_project_count(run_action):
    assert run_action()[1] == [*FIXED, "audit-report"]


def test_results_of_other_jobs_are_summed_up_and_nothing_is_audited(run_action, tmp_path):
    for name in ("b/two words/result.json", "a/result.json", "a/baseline/result.json"):
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / name).write_text("{}")
    done, words = run_action(summary="runs", arguments="--select P1")
    assert done.returncode == 0
    found = ["runs/a/result.json", "runs/b/two words/result.json"]
    assert words == ["summary", "--out", "audit-report", *found]


def test_arguments_are_split_as_a_shell_splits_them(run_action):
    words = run_action("ours.py:explain", "--select P1\n--option 'name=two words'\n", "my out")[1]
    own = ["--select", "P1", "--option", "name=two words", "--explainer", "ours.py:explain"]
    assert words == [*FIXED, "my out", *own]


@pytest.mark.parametrize(
    "text", ["; touch pwned", "$(touch pwned)", "`touch pwned`", "&& touch pwned"]
)
def test_inputs_are_never_run(run_action, tmp_path, text):
    _, words = run_action(explainer=text, arguments=text, out=text)
    assert words[:6] == [*FIXED, text]
    assert words[-2:] == ["--explainer", text]
    assert words[6:-2] == text.split()
    assert not (tmp_path / "pwned").exists()


def test_an_open_quote_is_wrong_usage_not_a_violation(run_action):
    done, words = run_action(arguments="--option 'name=two")
    assert done.returncode == 2
    assert "is a quote left open?" in done.stdout
    assert words is None


def test_template_and_hook_run_commands_that_exist(command):
    template = yaml.safe_load((ROOT / ".gitlab" / "audit.yml").read_text(encoding="utf-8"))
    assert template["audit"]["artifacts"]["reports"]["junit"] == "audit-report/junit.xml"
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["pass_filenames"] is False
    assert "--out .audit/pre-commit" in hook["entry"]
    scripts = [step["run"] for step in steps() if "run" in step]
    found = audit_words("\n".join([*scripts, *template["audit"]["script"], hook["entry"]]))
    assert [words[1] for words in found] == ["summary", "check", "check", "check"]
    found = found[1:]  # a summary has no settings
    for _, *words in found:
        plain = [word.replace('"$AUDIT_OUT"', "reports") for word in words if "[@]" not in word]
        shown = command(*plain, "--show-settings")
        assert shown.exit_code == 0, shown.output
