"""A new folder ``.audit`` for reports is one that git ignores."""

from pathlib import Path

import pytest

from audit.engine.state_folder import ignored_by_git


@pytest.mark.parametrize("out", [".audit/pre-commit", ".audit", "below/.audit/a/b"])
def test_a_new_folder_ignores_itself(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ignored_by_git(Path(out))
    (found,) = tmp_path.rglob(".gitignore")
    assert found.parent.name == ".audit"
    assert found.read_text() == "*\n"


def test_folders_that_are_there_and_others_stay(tmp_path):
    (tmp_path / ".audit").mkdir()
    ignored_by_git(tmp_path / ".audit" / "pre-commit")
    ignored_by_git(tmp_path / "audit-report")
    assert [one.name for one in tmp_path.rglob("*")] == [".audit"]


def test_a_place_that_cannot_be_written_is_told_later(tmp_path):
    (tmp_path / "file").write_text("")
    ignored_by_git(tmp_path / "file" / ".audit")
    assert [one.name for one in tmp_path.rglob("*")] == ["file"]
