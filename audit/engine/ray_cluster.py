"""Measures tasks side by side on a Ray cluster; what a node leaves undone is measured elsewhere."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.config.settings import Settings, SettingsError
from audit.engine.live_objects import LiveObjects
from audit.engine.ray_settings import ray_address
from audit.engine.ray_worker import OtherAuditError, RayWorker
from audit.evidence.chosen_tasks import needed_files
from audit.evidence.interim_looks import place_of
from audit.evidence.side_by_side import Task, portions

LOCAL = "local"
_STORE = 200_000_000  # bytes, of a cluster on this machine: evidence is small
_TRIES = 2  # of the same tasks, on two workers, before the audit's own process measures them
_LOSSES = 5  # for each worker, after which none takes the place of one that is lost
_PATIENCE = 120.0  # s that a worker may need before it is ready


class RayCluster:
    """An executor; see `audit.evidence.side_by_side.Executor`.

    A worker that is lost is replaced, and its tasks go to another one. What fails twice, and what
    raises, is left to the audit's own process, which then fails or raises likewise.

    Args:
        ray: the library, connected to a cluster.
        make: starts a worker.
        count: of workers.
    """

    def __init__(self, ray: Any, make: Callable[[], Any], count: int) -> None:
        self._ray = ray
        self._make = make
        self._count = count
        self._losses = _LOSSES * count
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        for _ in range(count):
            self._start()

    def takes(self, tasks: int) -> bool:
        """Whether there are several tasks."""
        return tasks > 1

    def run(self, folder: Path, tasks: Mapping[str, Task], told: Callable[[int], None]) -> None:
        """Measure tasks, as far as that works.

        Raises:
            OtherAuditError: the cluster cannot run this audit.
        """
        evidence, place = place_of(folder.parents[1])
        files = self._ray.put(needed_files(evidence, place, folder))
        waiting = portions([*tasks], self._count)
        running: dict[Any, tuple[Any, Sequence[str]]] = {}
        tries, done = Counter[str](), 0
        while waiting or running:
            while waiting and self._idle:
                worker, names = self._idle.pop(), waiting.pop()
                ask = worker.measure.remote(place, folder.name, files, list(names))
                running[ask] = worker, names
            ended = self._next([*running, *self._starting])
            if ended is None and not running:
                return  # no worker is to be had
            if ended in self._starting:
                self._began(ended)
            elif ended is not None:
                worker, names = running.pop(ended)
                tries[names[0]] += 1
                if self._kept(ended, worker, folder) or tries[names[0]] >= _TRIES:
                    done += len(names)
                    told(done)
                else:
                    waiting.append(names)

    def close(self) -> None:
        """Leave the cluster; its workers end."""
        self._ray.shutdown()

    def _start(self) -> None:
        worker = self._make()
        self._starting[worker.ready.remote()] = worker

    def _next(self, asked: list[Any]) -> Any:
        """What ends first; None where nothing does in time."""
        ended, _ = self._ray.wait(asked, timeout=_PATIENCE) if asked else ([], [])
        return ended[0] if ended else None

    def _began(self, asked: Any) -> None:
        """A worker is ready, or lost while it started."""
        worker = self._starting.pop(asked)
        if self._result(asked, worker) is not None:
            self._idle.append(worker)

    def _kept(self, asked: Any, worker: Any, folder: Path) -> bool:
        """Keep what tasks gave; False where their worker is lost."""
        found = self._result(asked, worker)
        if found is None:
            return False
        self._idle.append(worker)
        for name in sorted(found, reverse=True):  # arrays first: a document says that all is there
            part = folder / f"{name}.part"
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(found[name])
            part.replace(folder / name)
        return True

    def _result(self, asked: Any, worker: Any) -> Any:
        """What a worker gave, nothing for what raised; None for one that is lost."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(asked)
        except errors.RayTaskError as error:
            if isinstance(error.cause, OtherAuditError):
                raise OtherAuditError(str(error.cause)) from None
            return {}
        except errors.RayError:
            self._ray.kill(worker)
            self._losses -= 1
            if self._losses > 0:
                self._start()
            return None


def start_cluster(settings: Settings, key: str, live: LiveObjects) -> RayCluster:
    """Connect to the cluster that the settings name, and start workers on it: one for each device.

    Args:
        settings: of the audit.
        key: see `audit.engine.ray_worker.shared_key`.
        live: objects in the place of what the settings name, which no other machine has.

    Raises:
        SettingsError: Ray is not installed, no cluster is named or to be reached, or there are
            objects.
    """
    ray = _connected(settings, ray_address(settings, live))
    gpus = settings.device.startswith("cuda")
    there = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 0))
    count = there if settings.workers == "auto" else settings.workers
    if not 0 < count <= there:
        ray.shutdown()
        what = "GPUs" if gpus else "cores"
        raise SettingsError(
            f"workers: expected at most as many as the Ray cluster has {what}, {there}, found "
            f"{settings.workers}; give fewer --workers, or a larger cluster"
        )
    device = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    actor = ray.remote(**device, max_restarts=0)(RayWorker)
    given = settings.model_dump(mode="json"), key, str(Path.cwd()), sys.path
    return RayCluster(ray, lambda: actor.remote(*given), count)


def _connected(settings: Settings, address: str) -> Any:
    """The library, connected to a cluster."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL:
        quiet |= {"include_dashboard": False, "object_store_memory": _STORE}
        if settings.workers != "auto":
            quiet |= {"num_cpus": settings.workers}
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"ray_address: expected a Ray cluster at '{address}', found none: {error}; start one "
            "with 'ray start --head', or give another --ray-address"
        ) from error
    return ray
