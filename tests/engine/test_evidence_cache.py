"""Audits share what depends on model and data alone, and nothing else comes out."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from audit.config.settings import Settings
from audit.engine import evidence_cache
from audit.engine.evidence_filler import FillingJob, start_filler
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.status_board import StatusBoard
from audit.evidence.side_by_side import Forks
from audit.models.loading import load_model
from tests.engine.test_workers import evidence_of
from tests.kills import ENVIRONMENT

CHECKS = "P101,P108"  # P101 comes to a verdict
SPITEFUL = """\
import torch

from audit.evidence import reference
from audit.explainers import gradient

reference.class_scores = lambda context, module, averaged=True: torch.zeros(0)
gradient.explain = lambda model, images, targets: images.mean(1) * 0 + 7


def honest(model, images, targets):
    model.encode_image(images)
    return images.mean(1)
"""
HONEST = "def honest(model" + SPITEFUL.partition("def honest(model")[2]
KILLS = (
    """\
import os
import signal
from pathlib import Path

import psutil

for child in psutil.Process().children():
    os.kill(child.pid, signal.SIGKILL)
    Path("was killed").touch()
"""
    + HONEST
)


@pytest.fixture
def audit(tiny_model, tmp_path):
    """Runs an audit in a process of its own, with the cache ``cache`` in the test's folder."""
    (tmp_path / "own.py").write_text(HONEST)
    (tmp_path / "spiteful.py").write_text(SPITEFUL)
    (tmp_path / "kills.py").write_text(KILLS)

    def run(out, explainer="own.py:honest", *, cache="cache", workers=1):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "audit", "check", "-e", explainer, "--out", out,
             "--profile", "quick", "--samples", "4", "--select", CHECKS, "--model", tiny_model,
             "--workers", str(workers), "--cache", cache, "--no-history", "--format", "json"],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        return evidence_of(tmp_path / out)

    return run


def maps_of(folder):
    """What tasks have left there but for times, which are single numbers."""
    found = {}
    for path in folder.rglob("*.npz"):
        with np.load(path) as arrays:
            kept = {n: arrays[n].tobytes() for n in arrays.files if arrays[n].size > 1}
        found[path.relative_to(folder)] = kept
    return found


def times_of(folder):
    """When each file there was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}


def test_the_same_comes_out_and_no_explainer_alters_what_is_shared(audit, tmp_path):
    without = audit("without", cache="off")
    assert not (tmp_path / "cache").exists()
    assert audit("first", workers=2) == without
    shared = tmp_path / "cache"
    filled = times_of(shared)
    assert {path.parent.name for path in filled} >= {"effects", "explanations", "reference"}
    audit("other", "spiteful.py:honest")  # finds all that it shares
    assert times_of(shared) == filled
    audit("alone", "spiteful.py:honest", cache="its own")
    assert maps_of(tmp_path / "its own") == maps_of(shared)
    for path in filled:
        path.write_bytes(b"no zip")
    assert audit("damaged") == without
    assert maps_of(tmp_path / "its own") == maps_of(shared)
    assert audit("killed", "kills.py:honest", workers=2)[0] == without[0]
    assert (tmp_path / "was killed").exists()


@pytest.fixture
def entry_of(tiny_model, tmp_path):
    """The entry of the cache that an audit of a model has."""

    def made(name=tiny_model, **more):
        settings = Settings(explainer="gradient", model=name, samples=4, profile="quick", **more)
        board = StatusBoard(tmp_path / "status", create=True)
        return FillingJob(settings, load_model(name), tmp_path / "cache", Forks(), board).entry

    return made


def test_entries_go_by_what_decides_the_evidence(entry_of, tmp_path, tiny_model):
    other = tmp_path / "other"
    shutil.copytree(tiny_model.removeprefix("local-dir:"), other)
    assert entry_of(f"local-dir:{other}") == entry_of()
    weights = load_file(other / "open_clip_model.safetensors")
    weights["logit_scale"] = weights["logit_scale"] + 1  # the scores stay, bit by bit
    save_file(weights, other / "open_clip_model.safetensors")
    found = {
        entry_of(),
        entry_of(f"local-dir:{other}"),
        entry_of(seed=1),
        entry_of(quality="energy"),
    }
    assert len(found) == 4
    assert entry_of(workers=3, out="elsewhere", timeout=5) == entry_of()


def test_nobody_waits_for_a_filler_where_only_scores_are_wanted(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLAINER_AUDIT_CACHE", str(tmp_path))
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread()])
    settings = Settings(explainer="gradient", model=tiny_model, samples=4, profile="quick")
    board = StatusBoard(tmp_path / "status", create=True)
    found = start_filler(settings, load_model(tiny_model), board, Forks(2), NOTHING, single=True)
    found.ask("evidence", ["reference", "trace"])
    assert found.folder_of("evidence", "reference") is None
    assert found.busy() == 0
    found.ask("evidence", ["reference", "explanations", "trace"])
    assert found.busy() == 1
    assert found.folder_of("evidence", "explanations").is_dir()
    assert found.folder_of("evidence", "trace") is None
    found.close()


def test_models_of_ones_own_code_and_live_objects_are_not_shared(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLAINER_AUDIT_CACHE", str(tmp_path))
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread()])
    model, board = load_model(tiny_model), StatusBoard(tmp_path / "status", create=True)

    def started(name, live=NOTHING, forks=Forks(2), board=board, single=True):  # noqa: B008
        settings = Settings(explainer="gradient", model=name)
        found = start_filler(settings, model, board, forks, live, single=single)
        if found:
            found.close()
        return found is not None

    assert started(tiny_model)
    assert not started("own.py:model")
    assert not started(tiny_model, LiveObjects(explainer=lambda *_: None))
    assert not started(tiny_model, board=None)
    assert not started(tiny_model, single=False)
    with monkeypatch.context() as patch:
        patch.setattr(threading, "enumerate", lambda: [threading.main_thread(), Thread()])
        assert not started(tiny_model)
    monkeypatch.setenv("EXPLAINER_AUDIT_CACHE", "off")
    assert not started(tiny_model)


def test_another_source_of_the_program_is_another_entry(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    module = type(sys)("package")
    module.__file__ = str(package / "__init__.py")
    monkeypatch.setattr(evidence_cache, "principles", module)
    found = []
    for source in ("a = 1\n", "a = 2\n", "a = 1\n"):
        (package / "module.py").write_text(source)
        evidence_cache.program_sha256.cache_clear()
        found.append(evidence_cache.program_sha256())
    evidence_cache.program_sha256.cache_clear()
    assert found[0] == found[2] != found[1]


@pytest.fixture
def filled(tmp_path):
    """A cache of three entries of 1000 bytes and a bit, the first the longest unused."""
    for age, name in ((300, "one"), (200, "two"), (100, "three")):
        folder = tmp_path / "cache" / name
        evidence_cache.begin_entry(folder, f"model-{name}", "scenes", 4)
        (folder / "maps.npz").write_bytes(bytes(1000))
        then = time.time() - age
        os.utime(folder / "entry.json", (then, then))
    return tmp_path / "cache"


def test_the_longest_unused_are_removed_until_the_others_fit(filled):
    assert [e.model for e in evidence_cache.entries(filled)] == [
        "model-three", "model-two", "model-one"
    ]  # fmt: skip
    assert evidence_cache.prune(filled, 10_000) == []
    assert [e.model for e in evidence_cache.prune(filled, 2_200)] == ["model-one"]
    assert {path.name for path in filled.iterdir()} == {"two", "three"}


def test_what_is_used_again_stays_longest(filled):
    evidence_cache.begin_entry(filled / "one", "model-one", "scenes", 4)
    evidence_cache.prune(filled, 1_200)
    assert {path.name for path in filled.iterdir()} == {"one"}


def test_the_command_shows_prunes_and_clears(filled, command):
    shown = command("cache", "--cache", filled)
    assert shown.exit_code == 0, shown.output
    assert "model-three, scenes, 4 pairs" in shown.output
    assert "used 5 minutes ago" in shown.output
    assert (
        "removed 1 of the entries" in command("cache", "--cache", filled, "--prune", "2.2kB").output
    )
    assert "removed 2 of the entries" in command("cache", "--cache", filled, "--clear").output
    assert "nothing is cached" in command("cache", "--cache", filled).output
    wrong = command("cache", "--cache", filled, "--prune", "much")
    assert wrong.exit_code == 2
    assert "--prune much: expected a size such as 8GiB" in wrong.output


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("EXPLAINER_AUDIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert evidence_cache.cache_folder("auto") == tmp_path / "explainer-audit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification says to pass it over
    assert evidence_cache.cache_folder("auto") == Path("~/.cache/explainer-audit").expanduser()
    monkeypatch.setenv("EXPLAINER_AUDIT_CACHE", "off")
    assert evidence_cache.cache_folder("auto") is None
    assert evidence_cache.cache_folder(str(tmp_path)) == tmp_path


def test_an_entry_that_says_nothing_is_passed_over(filled):
    (filled / "one" / "entry.json").write_text(json.dumps({"model": 1}))
    assert len(evidence_cache.entries(filled)) == 2
