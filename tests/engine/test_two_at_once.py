"""Two audits with one output folder: one of them writes, and no evidence is mixed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audit.engine.output_lock import OutputInUseError, locked
from tests.kills import ENVIRONMENT, ended

SLOW = """\
import time
from pathlib import Path

SEEN = Path(__file__).with_name("seen")


def explain(model, images, targets):
    if not SEEN.exists():
        time.sleep(2)
    return images.mean(1)
"""
IN_USE = "is writing to"


@pytest.fixture
def audit(tiny_model, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    words = ["--model", tiny_model, "--profile", "quick", "--samples", "2", "--select", "P101,P103"]

    def run(explainer, out="report"):
        command = [sys.executable, "-P", "-m", "audit", "check", "-e", explainer, *words]
        return subprocess.Popen(
            [*command, "--out", out, "--no-history", "--format", "json"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return run


def document(folder, out="report"):
    found = json.loads(Path(folder, out, "result.json").read_text())
    return {k: v for k, v in found.items() if k != "timing"}


def gathering(process, folder):
    """Wait until an audit has kept its first evidence."""
    end = time.monotonic() + 100
    while not list(Path(folder, "report").rglob("*.npz")) and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize(
    "order", ["while it gathers", "at once", "after a kill", "after Ctrl-C", "after its end"]
)
def test_two_audits_of_one_folder_do_not_mix(audit, tmp_path, order):
    first = audit("slow.py:explain")
    if order == "after its end":
        assert first.wait(timeout=200) == 0
    elif order != "at once":
        gathering(first, tmp_path)
    if order == "after a kill":
        first.kill()
    if order == "after Ctrl-C":
        first.send_signal(signal.SIGTERM)  # the same to an audit; a shell's jobs ignore SIGINT
    second = audit("edges")
    if order != "at once":
        other, said = ended(second)
    (tmp_path / "seen").touch()  # there is no need to be slow any more
    code, messages = ended(first)
    if order == "at once":
        other, said = ended(second)
    if order in {"after a kill", "after Ctrl-C"} and other == 2:  # it had not quite gone
        other, said = ended(audit("edges"))
    refused = [IN_USE in messages, IN_USE in said]
    assert sorted([code, other]) in ([0, 2], [-9, 0], [0, 130], [0, 0])
    assert (code, other) != (0, 0) or order == "after its end"
    assert refused.count(True) == (order in {"while it gathers", "at once"})
    name = "edges" if other == 0 else "slow.py:explain"
    assert document(tmp_path)["explainer"]["name"] == name
    assert ended(audit(name, "alone"))[0] == 0
    assert document(tmp_path) == document(tmp_path, "alone")


def test_the_folder_is_free_again_whatever_happened(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), locked(tmp_path):
            raise ValueError("mine")
    with (
        locked(tmp_path),
        pytest.raises(OutputInUseError, match=rf"\(process {os.getpid()}\) is writing to"),
        locked(tmp_path),
    ):
        pass
