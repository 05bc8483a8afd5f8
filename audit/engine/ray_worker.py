"""A worker of a Ray cluster: the audit built anew from its settings, and tasks of it by name.

Nothing but settings, files of evidence and names of tasks reaches it, and nothing but files of
evidence comes back. Explainer, model and data are loaded as the audit itself loads them, and are
found out to be the same by their hashes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from audit.config.settings import Settings, SettingsError
from audit.engine.audited_subjects import load_subjects
from audit.engine.context_building import build_context
from audit.engine.evidence_key import audit_key
from audit.engine.live_objects import NOTHING
from audit.engine.progress import silent
from audit.evidence.chosen_tasks import measure_chosen
from audit.evidence.context import Context
from audit.evidence.dry_run import try_explainer
from audit.explainers.call_observer import observed_by

_LOOK = 0.2  # s between two looks at the clock


class OtherAuditError(SettingsError):
    """What a worker has built is not the audit that it works for, or could not be built there."""


@contextmanager
def hanging_calls_end_it(seconds: float) -> Iterator[None]:
    """End this process where a call of an explainer takes longer than so many seconds."""
    since, over = 0.0, threading.Event()

    def call(explainer: str, pairs: int) -> None:
        nonlocal since
        del pairs
        since = time.monotonic() if explainer else 0.0

    def watch() -> None:
        while not over.wait(_LOOK):
            if since and time.monotonic() - since > seconds:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        with observed_by(call):
            yield
    finally:
        over.set()


class RayWorker:
    """What runs on the cluster; Ray makes an actor of it.

    Args:
        settings: of the audit, as JSON holds them.
        key: see `shared_key`.
        folder: that paths of the settings are relative to.
        path: where the audit imports modules from.
    """

    def __init__(
        self, settings: Mapping[str, Any], key: str, folder: str, path: Sequence[str]
    ) -> None:
        self._settings = Settings.model_validate(settings)
        self._key = key
        self._context: Context | None = None
        if Path(folder).is_dir():
            os.chdir(folder)
        sys.path += [one for one in path if one not in sys.path]
        torch.set_num_threads(1)

    def ready(self) -> str:
        """Build the audit, and name the machine.

        Raises:
            OtherAuditError: it cannot be built here, or is another one.
        """
        if self._context is None:
            with hanging_calls_end_it(self._settings.timeout):
                self._context = self._built()
        return platform.node()

    def measure(
        self, place: str, kind: str, files: Mapping[str, bytes], names: Sequence[str]
    ) -> dict[str, bytes]:
        """Measure tasks; see `audit.evidence.chosen_tasks.measure_chosen`.

        Args:
            place: of the evidence.
            kind: of evidence.
            files: of the evidence by now, by their paths.
            names: of the tasks.
        """
        self.ready()
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            assert self._context is not None  # noqa: S101 - ready
            with hanging_calls_end_it(self._settings.timeout):
                return measure_chosen(self._context, Path(folder), place, kind, names)

    def _built(self) -> Context:
        here = platform.node()
        try:
            subjects = load_subjects(self._settings, None, NOTHING, shares=False)
            context = build_context(self._settings, subjects.model, subjects.explainer, silent)
            try_explainer(context)
        except Exception as error:
            raise OtherAuditError(
                f"the Ray worker on '{here}' cannot build the audit: {type(error).__name__}: "
                f"{error}; expected explainer, model and data under the same names as here"
            ) from error
        if shared_key(self._settings, context) != self._key:
            raise OtherAuditError(
                f"the Ray worker on '{here}' has built another audit: expected the same explainer, "
                "weights, data and versions of libraries as here, found others; install the same "
                "ones on every node"
            )
        return context


def shared_key(settings: Settings, context: Context) -> str:
    """A hash of all that decides evidence, the file of the explainer too."""
    file = context.audited.source_file
    source = Path(file).read_bytes() if file and Path(file).is_file() else b""
    return hashlib.sha256(audit_key(settings, context, threads=1).encode() + source).hexdigest()
