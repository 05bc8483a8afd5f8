"""The action, the GitLab job and the pre-commit hook as their runners run them.

Each in a bare repository: an explainer and settings, no requirements, no pyproject, no package
index. The shell steps are those of the files, word for word; only pip is watched instead of run,
but for one test that really installs the checkout.
"""

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gate.regressing_explainer import FAITHFUL, REGRESSED, WAIVER, WRONG_LINE, git

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
IGNORE = ["P106", "P107", "P108", "P109"]
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
AUDIT = f"""\
#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from audit.cli.main import main
main()
"""
PYTHON = f"""\
#!{sys.executable}
import json, os, sys
if sys.argv[1:4] == ["-m", "pip", "install"]:
    with open(os.environ["INSTALLED"], "a") as file:
        print(json.dumps(sys.argv[4:]), file=file)
else:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def runner(tmp_path):
    """The environment of a job: `python` that notes what pip would install, and `audit`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"audit": AUDIT, "python": PYTHON}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHONPATH"))}
    return {
        **kept,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "INSTALLED": str(tmp_path / "installed.jsonl"),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # so that git tells what the audit leaves, not what Python
    }


@pytest.fixture
def repository(tmp_path, tiny_model):
    """A repository with an explainer and settings; returns what commits another state of them."""
    folder = tmp_path / "project"
    folder.mkdir()
    git("init", "-q", "-b", "main", cwd=folder)

    def commit(explainer, waiver=""):
        (folder / "ours.py").write_text(explainer)
        (folder / "audit.toml").write_text(
            f'explainer = "ours.py:explain"\nmodel = "{tiny_model}"\nsamples = 2\n'
            f'profile = "quick"\nselect = ["P1"]\nignore = {IGNORE}\n{waiver}'
        )
        git("add", "-A", "--", "ours.py", "audit.toml", cwd=folder)
        git("commit", "-q", "--allow-empty", "-m", "a change", cwd=folder)
        return folder

    return commit


STATES = {
    "green": (FAITHFUL, ""),
    "red": (REGRESSED, ""),
    "waived": (REGRESSED, WAIVER.format(expires="2100-01-31")),
}


def bash(script, folder, environment):
    return subprocess.run(
        [*BASH, script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def installed(environment):
    """What pip was asked to install."""
    lines = Path(environment["INSTALLED"]).read_text().splitlines()
    return [json.loads(line) for line in lines]


class Workflow:
    """As much of GitHub's runner as the steps need: inputs, conditions, files, exit code."""

    def __init__(self, folder, environment, action, given):
        self.folder, self.environment, self.action = folder, environment, action
        document = yaml.safe_load((action / "action.yml").read_text(encoding="utf-8"))
        self.steps = document["runs"]["steps"]
        self.inputs = {name: one["default"] for name, one in document["inputs"].items()} | given
        self.code, self.output, self.used = 0, "", {}
        self.summary = folder.parent / "summary.md"
        self.summary.unlink(missing_ok=True)

    def run(self):
        for step in self.steps:
            if not self._is_due(step.get("if", "success()")):
                continue
            if "uses" in step:
                inputs = {k: self._filled(v) for k, v in step["with"].items()}
                self.used[step["uses"].partition("@")[0]] = inputs
                continue
            environment = {
                **self.environment,
                **{k: self._filled(v) for k, v in step.get("env", {}).items()},
                "GITHUB_ACTION_PATH": str(self.action),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "GITHUB_WORKSPACE": str(self.folder),
            }
            done = bash(step["run"], self.folder, environment)
            self.output += done.stdout + done.stderr
            self.code = self.code or done.returncode
        return self

    def _filled(self, text):
        return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: self.inputs[m[1]], text)

    def _is_due(self, condition):
        """The few conditions that the action has; any other one is an error of this test."""
        for part in condition.split(" && "):
            if part == "always()":
                continue
            if part == "success()":
                due = self.code == 0
            elif part == "inputs.upload-sarif == 'true'":
                due = self.inputs["upload-sarif"] == "true"
            else:
                file = re.fullmatch(r"hashFiles\(format\('\{0\}/(.+)', inputs.out\)\) != ''", part)
                due = (self.folder / self.inputs["out"] / file[1]).is_file()
            if not due:
                return False
        return True


def annotations(output):
    return [line for line in output.splitlines() if re.match(r"::(error|warning|notice) ", line)]


def test_the_workflow_of_init_with_an_action_in_the_repository(repository, runner, tmp_path):
    folder = repository(FAITHFUL)
    (folder / "tools").symlink_to(ROOT)
    words = "audit init --force --action ./tools/.github/actions/audit"
    made = bash(words, folder, runner)
    assert made.returncode == 0, made.stderr
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "audit.yml").read_text())
    (step,) = [s for s in workflow["jobs"]["audit"]["steps"] if s["uses"].startswith("./")]
    assert workflow["permissions"]["security-events"] == "write"
    given = step.get("with", {})
    for state, level in {"green": None, "red": "error", "waived": "notice"}.items():
        repository(*STATES[state])
        done = Workflow(folder, runner, folder / step["uses"], given).run()
        assert done.code == (1 if state == "red" else 0), done.output
        place = f"::{level} file=ours.py,line={WRONG_LINE},title=P104 score-preserved"
        found = annotations(done.output)
        assert [line.startswith(place) for line in found] == ([True] if level else [])
        assert done.summary.read_text().startswith("## ")
        assert ("P104** " in done.summary.read_text()) == (level is not None)
        sarif = json.loads((folder / "audit-report" / "audit.sarif").read_text())
        places = [
            one["locations"][0]["physicalLocation"]
            for run in sarif["runs"]
            for one in run["results"]
        ]
        assert [one["artifactLocation"]["uri"] for one in places] == (["ours.py"] if level else [])
        assert [one["region"]["startLine"] for one in places] == ([WRONG_LINE] if level else [])
        assert done.used["github/codeql-action/upload-sarif"] == {
            "sarif_file": "audit-report/audit.sarif"
        }
        assert done.used["actions/upload-artifact"]["path"] == "audit-report"
    (checkout,) = {Path(words[-1]).resolve() for words in installed(runner)}
    assert checkout == ROOT
    assert git("status", "--porcelain", cwd=folder).splitlines() == [
        "?? .github/",
        "?? .gitignore",
        "?? tools",
    ]


def test_the_action_without_settings_in_the_repository(repository, runner, tiny_model):
    folder = repository(REGRESSED)
    (folder / "audit.toml").unlink()
    (folder / "audit-report").mkdir()
    for name in ("summary.md", "audit.sarif"):
        (folder / "audit-report" / name).write_text("of an older audit")
    given = {"torch-index": "TORCH", "extra-index": "MORE"}
    wrong = Workflow(folder, runner, ROOT / ".github" / "actions" / "audit", given).run()
    assert wrong.code == 2
    assert "no explainer given" in wrong.output
    assert wrong.summary.read_text().startswith("The audit ended without a result")
    assert list(wrong.used) == ["actions/upload-artifact"]
    words = installed(runner)
    assert words[0] == ["--index-url", "TORCH", "torch", "torchvision"]
    assert words[1][:2] == ["--extra-index-url", "MORE"]
    small = f"--model {tiny_model} --samples 2 --profile quick --select P101,P104"
    given = {"explainer": "ours.py:explain", "arguments": small, "upload-sarif": "false"}
    red = Workflow(folder, runner, ROOT / ".github" / "actions" / "audit", given).run()
    assert red.code == 1, red.output
    assert "::error file=ours.py,line=" in red.output
    assert list(red.used) == ["actions/upload-artifact"]


def test_the_job_of_gitlab(repository, runner):
    folder = repository(FAITHFUL)
    made = bash(f"audit init --force --gitlab --checkout {ROOT}", folder, runner)
    assert made.returncode == 0, made.stderr
    main = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())
    document = yaml.safe_load((folder / main["include"][0]["local"]).read_text())
    script = "\n".join(document["audit"]["script"])
    variables = {**runner, **document["variables"]}
    report = folder / document["audit"]["artifacts"]["reports"]["junit"]
    for state, tag in {"green": None, "red": "failure", "waived": "skipped"}.items():
        repository(*STATES[state])
        done = bash(script, folder, variables)
        assert done.returncode == (1 if state == "red" else 0), done.stdout + done.stderr
        root = ET.fromstring(report.read_text())  # noqa: S314 - our own document
        (case,) = [one for one in root.iter("testcase") if one.get("name").startswith("P104 ")]
        assert [one.tag for one in case] == ([tag] if tag else [])
        assert (f"at ours.py:{WRONG_LINE}" in "".join(case.itertext())) == (tag is not None)
    assert installed(runner) == [[str(ROOT)]] * 3
    missing = bash(script, folder, {**variables, "AUDIT_SOURCE": ""})
    assert missing.returncode == 2
    assert "AUDIT_SOURCE: expected a checkout" in missing.stdout
    indices = {"AUDIT_TORCH_INDEX": "TORCH", "AUDIT_EXTRA_INDEX": "MORE"}
    install = script.replace("audit check", "true audit check")
    assert bash(install, folder, {**variables, **indices}).returncode == 0
    assert installed(runner)[3:] == [
        ["--index-url", "TORCH", "torch", "torchvision"],
        ["--extra-index-url", "MORE", str(ROOT)],
    ]


def test_the_hook_of_pre_commit(repository, runner):
    folder = repository(FAITHFUL)
    made = bash(f"audit init --force --pre-commit --checkout {ROOT}@v1", folder, runner)
    assert made.returncode == 0, made.stderr
    (folder / ".gitignore").unlink()
    (used,) = yaml.safe_load((folder / ".pre-commit-config.yaml").read_text())["repos"]
    assert used["rev"] == "v1"
    hooks = yaml.safe_load((Path(used["repo"]) / ".pre-commit-hooks.yaml").read_text())
    (hook,) = [one for one in hooks if one["id"] == used["hooks"][0]["id"]]
    assert hook["language"] == "python"
    git("add", "-A", cwd=folder)
    for state, word in {
        "green": "no violation",
        "red": f"at ours.py:{WRONG_LINE} ",
        "waived": "waived: P104",
    }.items():
        repository(*STATES[state])
        arguments = shlex.join([*shlex.split(hook["entry"]), *used["hooks"][0].get("args", [])])
        index = {"GIT_INDEX_FILE": ".git/index", "GIT_DIR": ".git"}  # as git sets them for hooks
        done = bash(arguments, folder, {**runner, **index})
        assert done.returncode == (1 if state == "red" else 0), done.stdout + done.stderr
        assert word in done.stdout
        assert git("status", "--porcelain", "--untracked-files=all", cwd=folder) == ""
    assert (folder / ".audit" / "pre-commit" / "report.html").is_file()


def test_the_action_installs_the_checkout_without_an_index(tmp_path, runner):
    try:
        known = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        known = "0"
    if int(known.partition(".")[0]) < 77:
        pytest.skip("setuptools from 77 on is needed to build the package without a network")
    checkout = tmp_path / "checkout"
    for name in ("audit", "principles", "report_templates", ".github"):
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    (Path(runner["PATH"].partition(":")[0]) / "python").unlink()
    target = tmp_path / "target"
    offline = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the option that switches isolation off
        "PIP_TARGET": str(target),
        "GITHUB_ACTION_PATH": str(checkout / ".github" / "actions" / "audit"),
        "AUDIT_TORCH_INDEX": "",
        "AUDIT_EXTRA_INDEX": "",
    }
    action = yaml.safe_load((ROOT / ".github" / "actions" / "audit" / "action.yml").read_text())
    install = action["runs"]["steps"][0]["run"]
    done = bash(install, tmp_path, {**runner, **offline})
    assert done.returncode == 0, done.stdout + done.stderr
    shown = subprocess.run(
        [target / "bin" / "audit", "list", "models"],
        env={**runner, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "bundled" in shown.stdout
    assert (target / "report_templates" / "report.html.j2").is_file()
