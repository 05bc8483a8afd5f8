"""A project with an explainer that regresses between two commits, as its CI sees it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit.result.document import load_result
from tests.gate.regressing_explainer import FAITHFUL, REGRESSED, WAIVER, WRONG_LINE, git


@pytest.fixture
def gate(command, tiny_model):
    """A repository with its settings committed; returns what its CI step runs."""
    git("init", "-q", "-b", "main")
    Path("explainers").mkdir()
    Path("audit.toml").write_text(
        f'explainer = "explainers/ours.py:explain"\nmodel = "{tiny_model}"\nsamples = 4\n'
        'profile = "quick"\nselect = ["P1"]\nignore = ["P106", "P107", "P108", "P109"]\n'
        'formats = ["github", "html", "sarif"]\nwaivers = "waivers.toml"\n'
    )
    Path("waivers.toml").write_text("")
    Path(".gitignore").write_text("audit-report/\n.audit/\n__pycache__/\n")

    def commit_and_check(text, message):
        Path("explainers", "ours.py").write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", message)
        return command("check")

    return commit_and_check


def as_ci_runs_it():
    """Exit code and output of the command line in a process of its own."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "audit", "check"],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def annotations(output):
    return [line for line in output.splitlines() if re.match(r"::(error|warning|notice) ", line)]


def test_green_red_waived_expired(gate, command):
    green = gate(FAITHFUL, "our explainer")
    assert green.exit_code == 0, green.output
    assert annotations(green.output) == []
    Path("audit-report", "result.json").rename("accepted.json")

    red = gate(REGRESSED, "crisper maps")
    assert red.exit_code == 1, red.output
    (error,) = [line for line in annotations(red.output) if "P104" in line]
    assert error.startswith(f"::error file=explainers/ours.py,line={WRONG_LINE},title=P104 ")
    code, output = as_ci_runs_it()
    assert code == 1
    assert error in annotations(output)
    result = load_result(Path("audit-report", "result.json").read_text(encoding="utf-8"))
    assert result.conditions.git_commit == git("rev-parse", "HEAD")
    assert result.conditions.git_dirty is False

    worse = command("compare", "accepted.json", "audit-report/result.json")
    assert worse.exit_code == 1
    assert "! P104 score-preserved: pass → violation" in worse.output

    Path("waivers.toml").write_text(WAIVER.format(expires="2100-01-31"))
    waived = gate(REGRESSED, "accepted for now")
    assert waived.exit_code == 0, waived.output
    assert "passes (waived: P104)." in waived.output
    (notice,) = annotations(waived.output)
    assert notice.startswith(f"::notice file=explainers/ours.py,line={WRONG_LINE},title=P104 ")

    Path("waivers.toml").write_text(WAIVER.format(expires="2020-01-31"))
    expired = gate(REGRESSED, "time passes")
    assert expired.exit_code == 1, expired.output
    assert "The waiver of P104 by vision team expired on 2020-01-31" in expired.output
    assert any(line.startswith("::error ") for line in annotations(expired.output))

    Path("waivers.toml").write_text(WAIVER.format(expires="2100-01-31"))
    mended = gate(FAITHFUL, "back to the model's own features")
    assert mended.exit_code == 0
    assert "The waiver of P104 by vision team is not needed" in " ".join(mended.output.split())

    past = command("history").output.splitlines()
    verdicts = ["pass", "violation", "violation", "pass", "violation", "pass"]
    assert [line.split()[2] for line in past] == verdicts


def test_the_baseline_excuses_what_was_there_before(gate, command):
    gate(REGRESSED, "as it always was")
    Path("audit-report", "result.json").rename("baseline.json")
    known = command("check", "--baseline", "baseline.json")
    assert known.exit_code == 0, known.output
    assert "passes (known from the baseline: P104)." in known.output
    worse = REGRESSED.replace("    texts = ", "    model.visual.ln_post.eps = 0.5\n    texts = ")
    Path("explainers", "ours.py").write_text(worse)
    new = command("check", "--baseline", "baseline.json")
    assert new.exit_code == 1, new.output
    assert "(P102)" in new.output
