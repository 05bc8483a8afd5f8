"""A killed audit is finished by the same command: same bytes, and only work in flight again."""

import time

import pytest

from tests.kills import Audits

P1, P2 = "P101,P104,P105,P109", "P101,P201,P205,P206"  # P101 comes to a verdict


@pytest.mark.parametrize(
    ("victim", "words", "after"),
    [
        ("supervisor", ("--samples", "4", "--select", P1), "explanations.json"),
        ("worker", ("--samples", "6", "--select", P2), "tasks/ladder"),
        (
            "supervisor",
            ("--samples", "auto", "--budget", "12", "--select", P2),
            "look-1/explanations.json",
        ),
    ],
    ids=["principle 1", "principle 2", "look by look"],
)
def test_a_killed_audit_goes_on(tiny_model, tmp_path, victim, words, after):
    audits = Audits(tmp_path, tiny_model, words)
    reached = tmp_path / "killed" / "evidence" / after

    def wait(process):
        end = time.monotonic() + 250
        while not reached.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        assert reached.exists()

    found = audits.killed("killed", victim, wait)
    assert audits.code in {0, 1}
    assert found.same
    assert found.again <= found.in_flight < audits.pairs
    assert found.kept
    assert "went on from an interrupted audit" in found.messages
    if victim == "worker":
        assert "ended by SIGKILL" in found.first["failures"][0]["message"]
        assert found.first["verdict"] == "incomplete"
    else:
        assert found.first is None
