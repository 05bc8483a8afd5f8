"""Any number of processes gives the same, also where one of them is killed; one that hangs ends."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.kills import ENVIRONMENT, Audits

EXPLAINERS = """\
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import parent_process
from pathlib import Path


def honest(model, images, targets):
    model.encode_image(images)
    return images.mean(1)


def killed_once(model, images, targets):
    mark = Path("killed")
    if parent_process() is not None and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(model, images, targets)


POOL = ThreadPoolExecutor(1)


def in_a_thread(model, images, targets):
    return POOL.submit(honest, model, images, targets).result()


def hangs(model, images, targets):
    if parent_process() is not None:
        time.sleep(1000)
    return honest(model, images, targets)
"""


@pytest.fixture
def audit(tiny_model, tmp_path):
    (tmp_path / "own.py").write_text(EXPLAINERS)

    def run(function, workers, *more):
        words = ["--profile", "quick", "--samples", "4", "--select", "P106,P108,P205"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "audit", "check", "-e", f"own.py:{function}", *words,
             "--model", tiny_model, "--workers", str(workers), "--out", f"out-{workers}",
             "--no-history", "--format", "json", *more],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    return run


def evidence_of(folder):
    """Names and bytes of arrays and documents, but for what tells times and files."""
    found = {}
    for path in sorted((folder / "evidence").rglob("*.npz")):
        with np.load(path) as arrays:
            found[path.name] = {name: arrays[name].tobytes() for name in arrays.files}
    findings = json.loads((folder / "result.json").read_text())["checks"]
    return found, [one["finding"] for one in findings]


def test_two_and_three_processes_give_what_one_gives(audit, tmp_path):
    codes = {workers: audit("honest", workers)[0] for workers in (1, 2, 3)}
    assert len(set(codes.values())) == 1, codes
    one, *others = (evidence_of(tmp_path / f"out-{workers}") for workers in (1, 2, 3))
    assert one[0]
    assert all(other == one for other in others)


def test_a_process_that_is_killed_changes_nothing(audit, tmp_path):
    code, _ = audit("honest", 1)
    again, messages = audit("killed_once", 2)
    assert (tmp_path / "killed").exists()
    assert again == code, messages
    ours, theirs = (evidence_of(tmp_path / f"out-{n}") for n in (1, 2))
    assert ours[0] == theirs[0]
    assert not list((tmp_path / "out-2" / "evidence").rglob("sources-*"))


def test_an_explainer_that_keeps_threads_is_measured_by_one_process(audit, tmp_path):
    code, _ = audit("honest", 1)
    again, messages = audit("in_a_thread", 2, "--timeout", "30")
    assert again == code, messages
    ours, theirs = (evidence_of(tmp_path / f"out-{n}") for n in (1, 2))
    assert ours[0] == theirs[0]


def test_a_call_that_hangs_in_a_process_beside_ends_the_audit(audit):
    code, messages = audit("hangs", 2, "--timeout", "5")
    assert code == 3
    assert "a call of an explainer took longer than 5 s; give --timeout" in messages


def test_no_number_of_processes_is_zero(audit):
    code, messages = audit("honest", 0)
    assert code == 2
    assert "workers" in messages
    assert os.sep not in messages
    assert not Path("out-0").exists()


def test_when_the_time_is_over_what_is_not_settled_is_listed_and_the_rest_is_kept(audit, tmp_path):
    code, messages = audit("honest", 1, "--max-time", "0.01")
    assert code == 3
    findings = json.loads((tmp_path / "out-1" / "result.json").read_text())["checks"]
    assert {one["finding"]["verdict"] for one in findings} == {"error"}
    assert "the 0.01 s that --max-time gives were over before it was measured" in messages
    code, _ = audit("honest", 1, "--max-time", "600")
    assert code != 3


def test_an_audit_that_is_killed_while_two_processes_measure_goes_on(tiny_model, tmp_path):
    words = ("--samples", "4", "--workers", "2", "--select", "P106,P108,P205")
    audits = Audits(tmp_path, tiny_model, words)
    tasks = tmp_path / "killed" / "evidence" / "tasks" / "reparametrization"

    def wait(process):
        end = time.monotonic() + 250
        while not any(tasks.glob("*.npz")) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        assert any(tasks.glob("*.npz"))

    found = audits.killed("killed", "worker", wait)
    assert found.same, found.messages
    assert found.again < audits.pairs
    assert "went on from an interrupted audit" in found.messages
