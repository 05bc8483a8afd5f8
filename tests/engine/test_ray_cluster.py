"""A Ray cluster gives what one process gives, also where a worker is lost."""

import itertools
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from audit.config.settings import Settings, SettingsError
from audit.engine import ray_settings
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.ray_cluster import RayCluster, start_cluster
from audit.engine.ray_worker import OtherAuditError, RayWorker
from tests.engine.test_workers import evidence_of
from tests.kills import ENVIRONMENT


class LostError(Exception):
    """A worker is lost."""


class RaisedError(LostError):
    """A task has raised."""

    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class FakeRay:
    """The calls of Ray that a cluster needs; work is done when its result is fetched."""

    exceptions = SimpleNamespace(RayTaskError=RaisedError, RayError=LostError)

    def __init__(self):
        self.killed = []

    def put(self, value):
        return value

    def wait(self, asked, timeout):
        assert timeout > 0
        return [asked[0]], asked[1:]

    def get(self, asked):
        return asked()

    def kill(self, worker):
        self.killed.append(worker)


class FakeWorker:
    """Gives a file for each task; ``lost`` says at which calls it is lost."""

    def __init__(self, outcome):
        self.ready = SimpleNamespace(remote=lambda: lambda: "here")
        self.measure = SimpleNamespace(remote=self._measure)
        self.outcome = outcome

    def _measure(self, place, kind, files, names):
        def work():
            self.outcome(names)
            return {f"{name}.json": f"{place}{kind} of {sorted(files)}".encode() for name in names}

        return work


def cluster(outcome, count=2):
    ray, made = FakeRay(), []

    def make():
        made.append(FakeWorker(outcome))
        return made[-1]

    return RayCluster(ray, make, count), ray, made


def run(found, tmp_path, names="abcdefgh"):
    folder, told = tmp_path / "evidence" / "tasks" / "ladder", []
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "reference.json").write_text("{}")
    found.run(folder, dict.fromkeys(names, lambda: pytest.fail("measured here")), told.append)
    return {file.stem: file.read_text() for file in folder.glob("*")}, told


def test_every_task_is_measured_once(tmp_path):
    seen = []
    found, told = run(cluster(seen.extend)[0], tmp_path)
    assert found == dict.fromkeys("abcdefgh", "ladder of ['reference.json']")
    assert sorted(seen) == list("abcdefgh")
    assert told[-1] == 8
    assert told == sorted(told)


def test_the_tasks_of_a_lost_worker_go_to_another(tmp_path):
    calls = itertools.count()

    def outcome(names):
        if next(calls) == 2:
            raise LostError

    found, ray, made = cluster(outcome)
    kept, told = run(found, tmp_path)
    assert sorted(kept) == list("abcdefgh")
    assert told[-1] == 8
    assert len(ray.killed) == 1
    assert len(made) == 3


def test_tasks_that_lose_every_worker_are_left_and_the_others_are_not(tmp_path):
    def outcome(names):
        if "c" in names:
            raise LostError

    kept, told = run(cluster(outcome)[0], tmp_path)
    assert sorted(kept) == list("abdefgh")
    assert told[-1] == 8


def test_where_every_worker_is_lost_at_once_all_is_left(tmp_path):
    def outcome(names):
        raise LostError

    found, _, made = cluster(outcome)
    kept, _ = run(found, tmp_path)
    assert kept == {}
    assert len(made) < 20


def test_what_raises_is_left_to_raise_here(tmp_path):
    def outcome(names):
        if "c" in names:
            raise RaisedError(ValueError("no maps"))

    found, ray, _ = cluster(outcome)
    kept, _ = run(found, tmp_path)
    assert sorted(kept) == list("abdefgh")
    assert ray.killed == []


def test_a_worker_of_another_audit_ends_it(tmp_path):
    def outcome(names):
        raise RaisedError(OtherAuditError("other weights"))

    with pytest.raises(OtherAuditError, match="other weights"):
        run(cluster(outcome)[0], tmp_path)


def test_a_worker_that_has_another_explainer_or_cannot_build_it_says_so(
    tmp_path, tiny_model, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a worker moves into its audit's folder
    settings = Settings(explainer="gradient", model=tiny_model, samples=2, profile="quick")
    given = settings.model_dump(mode="json")
    with pytest.raises(OtherAuditError, match="has built another audit: expected the same"):
        RayWorker(given, "another key", str(tmp_path), []).ready()
    given = {**given, "model": "local-dir:nowhere"}
    with pytest.raises(OtherAuditError, match=r"cannot build the audit: .*nowhere"):
        RayWorker(given, "key", str(tmp_path), []).ready()


def test_what_is_lacking_is_told(monkeypatch):
    settings = Settings(explainer="gradient", engine="ray")
    with pytest.raises(SettingsError, match="found objects of this process"):
        start_cluster(settings, "key", LiveObjects(explainer=print))
    monkeypatch.setattr(ray_settings, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'explainer-audit\[ray\]'"):
        start_cluster(settings, "key", NOTHING)
    monkeypatch.setattr(ray_settings, "find_spec", lambda _: "there")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match="give --ray-address HOST:PORT, set RAY_ADDRESS"):
        start_cluster(settings, "key", NOTHING)


NODE = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
EXPLAINERS = """\
import os
import signal
import time
from pathlib import Path


def honest(model, images, targets):
    model.encode_image(images)
    return images.mean(1)


def killed_once(model, images, targets):
    mark = Path("killed")
    if len(images) > 2 and "RAY_JOB_ID" in os.environ and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(model, images, targets)


def on_a_node_that_goes(model, images, targets):
    import ray

    own = ray.is_initialized() and ray.get_runtime_context().get_node_id()
    if own == Path("goes").read_text():
        Path("reached").touch()
        time.sleep(120)
    return honest(model, images, targets)
"""


@pytest.mark.first
@pytest.mark.timeout(900)
def test_a_cluster_of_two_gives_what_one_process_gives_also_where_one_is_killed(
    tiny_model, tmp_path
):
    pytest.importorskip("ray")
    (tmp_path / "own.py").write_text(EXPLAINERS)
    local = ["--engine", "ray", "--ray-address", "local", "--workers", "2"]
    codes = {}
    for out, function, more in (
        ("one", "honest", ["--workers", "1"]),
        ("two", "honest", local),
        ("killed", "killed_once", local),
    ):
        with audit_of(function, out, more, tiny_model, tmp_path) as audit:
            codes[out] = ended(audit)
    assert len({code for code, _ in codes.values()}) == 1, codes
    assert (tmp_path / "killed").exists()
    one, two, killed = (evidence_of(tmp_path / out) for out in codes)
    assert one[0]
    assert two == one
    assert killed[0] == one[0]


@pytest.mark.first
@pytest.mark.timeout(900)
def test_a_running_cluster_is_joined_by_its_address_and_a_node_of_it_may_go(tiny_model, tmp_path):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    (tmp_path / "own.py").write_text(EXPLAINERS)
    before = signal.getsignal(signal.SIGTERM)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **NODE})
    try:
        going = nodes.add_node(num_cpus=1, **NODE)
        (tmp_path / "goes").write_text(going.node_id)
        more = ["--engine", "ray", "--ray-address", nodes.address]
        with audit_of("on_a_node_that_goes", "joined", more, tiny_model, tmp_path) as audit:
            while audit.poll() is None and not (tmp_path / "reached").exists():
                time.sleep(0.1)
            nodes.remove_node(going)
            joined = ended(audit)
    finally:
        nodes.shutdown()
        signal.signal(signal.SIGTERM, before)  # Ray has set one of its own in this process
    assert (tmp_path / "reached").exists(), joined
    with audit_of("on_a_node_that_goes", "alone", ["--workers", "1"], tiny_model, tmp_path) as one:
        alone = ended(one)
    assert joined[0] == alone[0], (joined, alone)
    assert evidence_of(tmp_path / "joined")[0] == evidence_of(tmp_path / "alone")[0]


def audit_of(function, out, more, model, folder):
    """A process that audits one of `EXPLAINERS`."""
    words = ["--profile", "quick", "--samples", "4", "--select", "P106,P108", "--no-history"]
    words += ["--model", model, "--format", "json", "--out", out]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "audit", "check", "-e", f"own.py:{function}", *words, *more],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(audit):
    """Its exit code, and what it said of errors."""
    said = audit.communicate(timeout=280)[1]
    return audit.returncode, said
