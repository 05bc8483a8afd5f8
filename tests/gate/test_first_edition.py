"""What the first edition (version 0.1, results of schema 1) wrote is still read.

The files beside this one were written by it from ``tests/reports/golden/result_v1.json``: the
attestation, and the history's index with the result that it kept.
"""

import json
import shutil
from pathlib import Path

import pytest

from audit.config.settings import Settings
from audit.engine.comparison import compare_results
from audit.engine.gate_inputs import load_gate
from audit.engine.trend import write_trend
from audit.gate import history
from audit.gate.attestation import render_attestation
from audit.result.document import load_result, render_json
from audit.result.finding import Verdict
from audit.result.shown_pairs import without_gallery

FIRST = Path(__file__).parent / "first_edition"
RESULT = Path(__file__).parents[1] / "reports" / "golden" / "result_v1.json"
FAILING = {Verdict.VIOLATION, Verdict.INCONCLUSIVE}


@pytest.fixture
def old():
    return load_result(RESULT.read_text(encoding="utf-8"))


def test_its_result_is_a_baseline(old):
    gate = load_gate(Settings(baseline=str(RESULT)))
    checks, notes = gate.applied(
        old.checks, explainer=old.explainer.name, model=old.model, data=old.data.sha256
    )
    assert {c.id: c.is_new for c in checks if c.finding.verdict in FAILING} == {
        c.id: False for c in old.checks if c.finding.verdict in FAILING
    }
    assert notes == []


def test_its_result_compares_with_one_of_today(old):
    today = load_result(render_json(old))
    found = compare_results(old, today)
    assert not found.worse
    assert len([line for line in found.lines if line.startswith("  P")]) == len(old.checks)


def test_its_history_is_listed_opened_and_drawn(old, tmp_path):
    folder = tmp_path / history.FOLDER
    shutil.copytree(FIRST, folder)
    (entry,) = history.entries(tmp_path)
    assert entry.started == old.timing.started
    assert entry.violated == [c.id for c in old.checks if c.finding.verdict is Verdict.VIOLATION]
    kept = load_result(history.latest(tmp_path).read_text(encoding="utf-8"))
    assert kept == without_gallery(old)
    history.keep(old, tmp_path)
    assert write_trend(tmp_path / "trend.html", tmp_path, None, last=9, commit_url="") == 2
    assert old.timing.started in (tmp_path / "trend.html").read_text(encoding="utf-8")


def test_its_attestation_is_that_of_today(old):
    written = (FIRST / "attestation.json").read_text(encoding="utf-8")
    settings = {**old.conditions.settings, "fail_on": "error"}
    run = old.conditions.model_copy(update={"settings": settings})
    today = render_attestation(old.model_copy(update={"conditions": run}))
    assert json.loads(today) == json.loads(written)
