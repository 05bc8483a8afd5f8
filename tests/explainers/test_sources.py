"""What an explainer's evidence depends on is noticed, wherever it lies."""

import functools
import importlib
import json
import os
import sys
from pathlib import Path

import pytest

from audit.explainers.sources import (
    SourceRecord,
    digest_of,
    environment_digest,
    reading_recorded,
    size_and_time,
    what_changed,
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An explainer's folder with a helper package in the folder above, and data beside it."""
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").write_text("")
    (tmp_path / "helpers" / "decorating.py").write_text("def decorated(f):\n    return f\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.py").write_text(
        "import json, pathlib\n"
        "from helpers.decorating import decorated\n"
        "@decorated\n"
        "def explain(model, images, targets):\n"
        "    return json.loads((pathlib.Path(__file__).parent / 'scale.json').read_text())\n"
    )
    (tmp_path / "lib" / "scale.json").write_text("3")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("mine", "helpers", "helpers.decorating"):
        sys.modules.pop(name, None)


def recorded(project):
    record = SourceRecord(project / "sources.json")
    with reading_recorded():
        mine = importlib.import_module("mine")
        functools.partial(mine.explain)(None, None, None)
    record.update()
    return record


@pytest.mark.parametrize(
    "file", ["lib/mine.py", "lib/scale.json", "helpers/decorating.py", "helpers/__init__.py"]
)
def test_an_edit_of_what_it_uses_is_noticed(project, file):
    record = recorded(project)
    assert what_changed(record.path) == ""
    path = project / file
    times = path.stat()
    path.write_text(path.read_text().replace("3", "4") + "\n")
    os.utime(path, (times.st_atime, times.st_mtime))
    assert what_changed(record.path) == f"'{path}' changed"
    path.unlink()
    assert what_changed(record.path) == f"'{path}' changed"


def test_a_file_that_was_looked_for_in_vain_and_is_there_now_is_noticed(project):
    record = SourceRecord(project / "sources.json")
    wanted = project / "lib" / "override.json"
    with reading_recorded(), pytest.raises(FileNotFoundError):
        wanted.open()
    record.update()
    assert what_changed(record.path) == ""
    wanted.write_text("{}")
    assert what_changed(record.path) == f"'{wanted}' changed"


def test_files_that_it_writes_and_those_of_the_audit_do_not_count(project):
    own = project / "out"
    own.mkdir()
    (own / "evidence.json").write_text("{}")
    record = SourceRecord(project / "sources.json", beside=(own,))
    with reading_recorded():
        (project / "written.txt").write_text("1")
        (own / "evidence.json").read_text()
    record.update()
    files = json.loads(record.path.read_text())["files"]
    assert str(project / "written.txt") not in files
    assert str(own / "evidence.json") not in files


def test_nothing_is_recorded_outside(project):
    record = SourceRecord(project / "sources.json")
    (project / "lib" / "scale.json").read_text()
    record.update()
    assert str(project / "lib" / "scale.json") not in record.hashes


def test_the_standard_library_is_left_to_its_version(project):
    record = recorded(project)
    library = str(Path(json.__file__).parent)
    assert not [f for f in record.hashes if f.startswith(library)]


def test_installed_packages_count_by_size_and_time(project):
    installed = project / "lib" / "site-packages"
    installed.mkdir()
    helper = installed / "installed_helper.py"
    helper.write_text("SCALE = 3\n")
    (project / "lib" / "mine.py").write_text(
        "import sys, pathlib\n"
        "sys.path.append(str(pathlib.Path(__file__).with_name('site-packages')))\n"
        "import installed_helper\n"
        "def explain(model, images, targets):\n    return None\n"
    )
    record = recorded(project)
    assert record.hashes[str(helper)] == size_and_time(str(helper))
    assert what_changed(record.path) == ""
    helper.write_text("SCALE = 33\n")
    assert what_changed(record.path) == f"'{helper}' changed"
    del sys.modules["installed_helper"]
    sys.path.remove(str(installed))


def test_an_explainer_in_an_installed_package_counts_itself(project):
    own = pytest.__file__
    record = SourceRecord(project / "sources.json", own=(own,))
    record.update()
    assert record.hashes[own] == digest_of(own)


def test_the_environment_counts_less_what_two_terminals_differ_in(project, monkeypatch):
    record = recorded(project)
    monkeypatch.setenv("COLUMNS", "17")
    monkeypatch.setenv("PWD", "/elsewhere")
    assert what_changed(record.path) == ""
    monkeypatch.setenv("EXPLAINER_SCALE", "2")
    assert what_changed(record.path) == "the environment variables changed"


def test_values_of_the_environment_are_not_written_down(project, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-hunter2")
    record = recorded(project)
    assert "hunter2" not in record.path.read_text()
    assert environment_digest({"A": "1"}) != environment_digest({"A": "2"})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}'])
def test_a_record_that_cannot_be_read_excuses_nothing(tmp_path, text):
    assert what_changed(tmp_path / "none.json") is None
    (tmp_path / "sources.json").write_text(text)
    assert what_changed(tmp_path / "sources.json") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert digest_of(str(tmp_path / "pipe")) == "missing"
