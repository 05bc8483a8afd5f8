"""The history: kept below the working folder, listed, rendered again, and never in the way."""

import stat
from pathlib import Path

import pytest

from audit.gate import history
from audit.result.document import load_result
from audit.result.shown_pairs import without_gallery


def at(result, when, **conditions):
    timing = result.timing.model_copy(update={"started": when})
    run = result.conditions.model_copy(update=conditions)
    return result.model_copy(update={"conditions": run, "timing": timing})


def test_kept_results_are_whole_but_for_their_galleries_and_listed_oldest_first(
    tmp_path, red, green
):
    second = at(red, "2026-01-02T03:04:05+00:00", git_commit="abcdef0123")
    history.keep(second, tmp_path)
    path = history.keep(at(green, "2026-01-01T03:04:05+00:00"), tmp_path)
    assert path.name.startswith("20260101T030405-")
    found = history.entries(tmp_path)
    assert [e.explainer for e in found] == ["grad-attention", "grad-eclip"]
    assert [e.verdict for e in found] == ["pass", "violation"]
    assert found[1].violated == ["P104", "P105"]
    assert found[1].commit == "abcdef0123"
    assert found[0].quality is not None
    latest = history.latest(tmp_path)
    kept = load_result(latest.read_text(encoding="utf-8"))
    assert kept == without_gallery(second)
    assert (kept.gallery, kept.checks) == ([], second.checks)
    assert history.latest(tmp_path, "grad-attention") == path
    assert (tmp_path / ".audit" / ".gitignore").read_text() == "*\n"


def test_explainers_are_found_with_any_options(tmp_path, red):
    plain = red.explainer
    options = plain.model_copy(update={"options": {"heads": "model"}})
    history.keep(red.model_copy(update={"explainer": options}), tmp_path)
    assert len(history.entries(tmp_path, "grad-eclip")) == 1
    assert len(history.entries(tmp_path, "grad-eclip (heads=model)")) == 1
    assert history.entries(tmp_path, "grad") == []


def test_nothing_kept_yet(tmp_path):
    assert history.entries(tmp_path) == []
    with pytest.raises(history.HistoryError, match="run 'audit check' in this folder first"):
        history.latest(tmp_path)


def test_damaged_lines_and_missing_files_are_passed_over(tmp_path, red):
    path = history.keep(red, tmp_path)
    index = path.parent / "index.jsonl"
    index.write_text("{not json\n" + index.read_text() + '{"started": "x"}\n')
    assert len(history.entries(tmp_path)) == 1
    path.unlink()
    assert history.entries(tmp_path) == []


def test_only_so_many_are_kept(tmp_path, red, monkeypatch):
    monkeypatch.setattr(history, "KEPT", 2)
    for day in (1, 2, 3):
        history.keep(at(red, f"2026-01-0{day}T00:00:00+00:00"), tmp_path)
    assert [e.started[:10] for e in history.entries(tmp_path)] == ["2026-01-02", "2026-01-03"]


def test_audits_of_one_second_stay_in_the_order_in_which_they_were_kept(tmp_path, red, monkeypatch):
    monkeypatch.setattr(history, "KEPT", 5)
    kept = [
        history.keep(at(red, "2026-01-01T00:00:00+00:00", git_commit=f"{n:07}"), tmp_path)
        for n in range(8)
    ]
    names = [path.name for path in kept]
    assert names != sorted(names)
    assert [e.file for e in history.entries(tmp_path)] == names[-5:]
    assert history.latest(tmp_path) == kept[-1]


def test_commands(check_tiny, command):
    assert "no audits" in command("history").output
    refused = command("report", "--latest")
    assert refused.exit_code == 2
    assert "run 'audit check'" in refused.output
    check_tiny("grad-eclip", "--no-history", select="P104")
    assert "no audits" in command("history").output
    check_tiny("grad-eclip", select="P104")
    (line,) = command("history").output.splitlines()
    assert "violation   grad-eclip, local-dir:" in line
    others = command("history", "-e", "gradient").output
    assert others.startswith("no audits of 'gradient' in")
    assert "which has some of 'grad-eclip'" in others
    refused = command("report", "audit-report/result.json", "-e", "grad-eclip")
    assert refused.exit_code == 2
    assert "give --latest with it" in refused.output
    done = command("report", "--latest", "-e", "grad-eclip", "--out", "page")
    assert done.exit_code == 0, done.output
    assert Path("page", "report.html").is_file()


def test_a_history_that_cannot_be_kept_does_not_fail_the_audit(check_tiny):
    Path(".audit").write_text("a file where a folder is wanted")
    done = check_tiny("grad-attention", select="P101")
    assert done.exit_code == 0
    assert "note: the history was not kept" in done.output
    assert not stat.S_ISDIR(Path(".audit").stat().st_mode)
