"""A process beside an audit that measures what depends on model and data alone, for later ones too.

It is forked when the model is there and before the explainer is imported, and runs a control in
the place of the explainer. So no explainer can alter what it or another one is judged by. What it
measures it keeps in the cache of evidence (`audit.engine.evidence_cache`), where it lies already if
another audit of the same model and data has measured it. Where the process ends early, the audit
measures for itself: the same comes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, Final

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.evidence_cache import begin_entry, cache_folder, program_sha256, prune
from audit.engine.evidence_key import evidence_key
from audit.engine.live_objects import LiveObjects
from audit.engine.shared_evidence import KINDS, STAND_IN
from audit.engine.status_board import StatusBoard
from audit.engine.worker_count import why_no_forks
from audit.evidence.context import Context
from audit.evidence.interim_looks import Looks, measured_looks, one_look
from audit.evidence.reference import gather_reference
from audit.evidence.side_by_side import Forks
from audit.evidence.tasks import Shared, Tasks, nothing
from audit.explainers.registry import load_explainer
from audit.models.model_sources import SOURCES, source_of
from audit.models.model_under_audit import ModelUnderAudit

_OF_MANY: Final = frozenset({"performance", "chosen_pairs", "class_pairs"})
"""Kinds that look at more pairs than those of the audit."""
_OWN_CODE: Final = (SOURCES["file"], SOURCES["plugin"])
"""Sources of models whose code may change without a change of version."""
_LOOK: Final = "look-"
_PATIENCE = 0.2  # s between two looks at the clock


@dataclass
class Filler:
    """The audit's side: asks, and is told where what was asked for lies.

    Attributes:
        channel: to the process.
        process: that fills the cache.
        count: of processes that it keeps at work.
        ahead: whether it works while the audit does; else only while the audit waits for it.
        ended: called when it has ended, with its process.
    """

    channel: Connection
    process: ForkProcess
    count: int
    ahead: bool
    ended: Callable[[int], None]
    _wanted: set[tuple[str, str]] = field(default_factory=set)
    _asked: set[tuple[str, str]] = field(default_factory=set)
    _folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    _gone: bool = False

    def ask(self, place: str, kinds: Iterable[str]) -> None:
        """Kinds of evidence that will be wanted.

        Args:
            place: the folder of a look, or of all evidence.
            kinds: in the order in which they will be.
        """
        shared = KINDS.intersection(kinds)
        if shared == {"reference"}:
            return  # measured as fast as asked for
        self._wanted |= {(place, kind) for kind in shared}
        if self.ahead:
            self._send(place, kinds)

    def folder_of(
        self, place: str, kind: str, in_time: Callable[[], None] = nothing
    ) -> Path | None:
        """Where the tasks of a kind lie, once they are all there; None where there are none.

        Args:
            place: the folder of a look, or of all evidence.
            kind: of evidence.
            in_time: raises where there is no time left to wait.
        """
        if (place, kind) not in self._wanted:
            return None
        self._send(place, [kind])
        while (place, kind) not in self._folders and not self._gone:
            in_time()
            self._listen(_PATIENCE)
        return self._folders.get((place, kind))

    def busy(self) -> int:
        """How many processes it has at work now."""
        self._listen(0)
        waits = not self._gone and len(self._folders) < len(self._asked)
        return self.count if waits else 0

    def close(self) -> None:
        """End it."""
        self.channel.close()
        self.process.join(2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.ended(self.process.pid or 0)

    def _send(self, place: str, kinds: Iterable[str]) -> None:
        wanted = [k for k in kinds if k in KINDS and (place, k) not in self._asked]
        if not wanted or self._gone:
            return
        self._asked |= {(place, kind) for kind in wanted}
        try:
            self.channel.send_bytes(json.dumps({"place": place, "kinds": wanted}).encode())
        except OSError:
            self._gone = True

    def _listen(self, seconds: float) -> None:
        """Take what it has told, and wait for that at most so long."""
        try:
            while not self._gone and self.channel.poll(seconds):
                seconds = 0
                told = json.loads(self.channel.recv_bytes())
                self._folders[told["place"], told["kind"]] = Path(told["folder"])
        except (EOFError, OSError, ValueError, LookupError):  # or an explainer closed the channel
            self._gone = True


def start_filler(
    settings: Settings,
    model: ModelUnderAudit,
    board: StatusBoard | None,
    forks: Forks,
    live: LiveObjects,
    *,
    single: bool,
) -> Filler | None:
    """Fork it, where it can be.

    Args:
        settings: of the audit.
        model: under audit; no explainer has been imported yet.
        board: of the worker process; None where nobody supervises it.
        forks: that the audit may run.
        live: objects in the place of what the settings name.
        single: whether everything is measured with one thread; more do not survive a fork.

    Returns:
        None without a cache, on a GPU, outside of Linux, in a process that has threads, and where
        code of the model may change without a change of version.
    """
    root = cache_folder(settings.cache)
    owned = live.any or source_of(settings.model) in _OWN_CODE
    alone = not replace(forks, count=2).may_run()
    if root is None or board is None or owned or alone or not single or why_no_forks(model, board):
        return None
    ours, theirs = Pipe()
    count = max(1, forks.count // 2)
    job = FillingJob(settings, model, root, replace(forks, count=count), board)
    process = get_context("fork").Process(target=_serve, args=(job, ours, theirs, os.getpid()))
    process.start()
    theirs.close()
    return Filler(ours, process, count, forks.count > 1, forks.ended)


@dataclass(frozen=True)
class FillingJob:
    """What the process is to do."""

    settings: Settings
    model: ModelUnderAudit
    root: Path
    forks: Forks
    board: StatusBoard

    @cached_property
    def alone(self) -> Settings:
        """The settings without the explainer."""
        return self.settings.model_copy(update={"explainer": STAND_IN, "options": {}})

    @cached_property
    def context(self) -> Context:
        """Of an audit of a control."""
        return build_context(self.alone, self.model, load_explainer(STAND_IN), self.board.tell)

    @cached_property
    def entry(self) -> Path:
        """The folder of the cache, by all that decides the evidence."""
        context = self.context
        key = evidence_key(self.alone, context, context.sizes, program_sha256())
        scores = gather_reference(context).scores.tobytes()
        name = hashlib.sha256(key.encode() + scores).hexdigest()
        folder = self.root / name[:40]
        pairs = context.pairs
        begin_entry(folder, self.settings.model, pairs.name, len(pairs))
        return folder

    @cached_property
    def entry_of_many(self) -> Path:
        """The part of it that goes by many pairs, which the hash of the others does not tell."""
        return self.entry / self.context.many_pairs().sha256[:20]

    @cached_property
    def looks(self) -> Looks:
        """At what does not go beyond the pairs of the audit."""
        return self._looks(self.entry)

    @cached_property
    def looks_at_many(self) -> Looks:
        """At what goes by many pairs."""
        return self._looks(self.entry_of_many)

    def _looks(self, shared: Path) -> Looks:
        tasks = Tasks(shared=Shared(shared, fills=True), executor=self.forks)
        own = Path(tempfile.mkdtemp(dir=self.board.folder)) / "evidence"
        looks = measured_looks if self.settings.samples == "auto" else one_look
        return looks(replace(self.context, tasks=tasks), own, self.entry.name, resume=False)

    def filled(self, place: str, kind: str) -> Path:
        """Measure a kind at a look, and say where its tasks lie."""
        number = int(place.removeprefix(_LOOK)) if place.startswith(_LOOK) else 1
        many = kind in _OF_MANY
        (self.looks_at_many if many else self.looks).at(number, frozenset({kind}))
        return (self.entry_of_many if many else self.entry) / place / kind


def _serve(job: FillingJob, theirs: Connection, channel: Connection, parent: int) -> None:
    """What the process does until the audit closes the channel; no exit handler runs here."""
    import torch

    try:
        theirs.close()
        job.forks.begins(parent)
        torch.set_num_threads(1)
        with contextlib.suppress(EOFError):
            while True:
                asked: dict[str, Any] = json.loads(channel.recv_bytes())
                for kind in asked["kinds"]:
                    answer = {"place": asked["place"], "kind": kind}
                    answer["folder"] = str(job.filled(asked["place"], kind))
                    channel.send_bytes(json.dumps(answer).encode())
        prune(job.root)
    except BaseException:  # noqa: BLE001, S110 - the audit then measures for itself
        pass
    finally:
        os._exit(0)
