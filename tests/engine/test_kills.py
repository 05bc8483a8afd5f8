"""A killed audit is finished by the same command: same bytes, and nothing measured twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
P1, P2 = "P101,P104,P105,P109", "P201,P205,P206"


def started(model, out, *words):
    command = ["check", "-e", "grad-eclip", "--model", model, "--profile", "quick", "--no-history"]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "audit", *command, *words, "--format", "json", "--out", out],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    _, messages = process.communicate(timeout=250)
    return process.returncode, messages


def document(out):
    """The result without its times."""
    found = json.loads(Path(out, "result.json").read_text())
    return {k: v for k, v in found.items() if k != "timing"}


def times_of(folder):
    """When each file of finished evidence was written."""
    return {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*.npz")}


def worker_of(process):
    (worker,) = psutil.Process(process.pid).children()
    return worker.pid


@pytest.mark.parametrize(
    ("victim", "words", "after"),
    [
        ("supervisor", ("--samples", "4", "--select", P1), "explanations.json"),
        ("worker", ("--samples", "6", "--select", P2), "tasks/ladder"),
        ("supervisor", ("--samples", "auto", "--budget", "12", "--select", P2), "look-1/key.json"),
    ],
    ids=["principle 1", "principle 2", "look by look"],
)
def test_a_killed_audit_goes_on(tiny_model, tmp_path, victim, words, after):
    process = started(tiny_model, str(tmp_path / "killed"), *words)
    reached = tmp_path / "killed" / "evidence" / after
    end = time.monotonic() + 250
    while not reached.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    assert reached.exists()
    os.kill(process.pid if victim == "supervisor" else worker_of(process), signal.SIGKILL)
    code, messages = ended(process)
    if victim == "worker":
        assert code == 3
        unfinished = json.loads((tmp_path / "killed" / "result.json").read_text())
        assert "ended by SIGKILL" in unfinished["failures"][0]["message"]
        assert unfinished["verdict"] == "incomplete"
    else:
        assert not (tmp_path / "killed" / "result.json").exists()
    kept = times_of(tmp_path / "killed" / "evidence")
    code, messages = ended(started(tiny_model, str(tmp_path / "killed"), *words))
    whole, _ = ended(started(tiny_model, str(tmp_path / "whole"), *words))
    assert code == whole
    assert code in {0, 1}
    assert document(tmp_path / "killed") == document(tmp_path / "whole")
    now = times_of(tmp_path / "killed" / "evidence")
    finished = [p for p in kept if p in now and "tasks" not in p.parts]
    assert [p for p in finished if now[p] != kept[p]] == []
    if kept:
        assert "went on from an interrupted audit" in messages
