"""Inside a worker process: runs a job, hands its result over, and ends.

Nothing that the job prints, closes or registers decides how the process ends: the result is a file
that is put in place whole, and the process then leaves without running exit handlers.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.engine.standard_streams import StandardStreams
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import UNREAD
from audit.errors import ending, is_usage
from audit.evidence.side_by_side import WATCHER
from audit.explainers.call_observer import observed_by

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl


def main(folder: str) -> None:
    """Run the job that a supervisor has laid into a folder, and end the process."""
    handoff = Path(folder)
    job = json.loads((handoff / "job.json").read_text(encoding="utf-8"))
    die_with(int(job["parent"]))
    given: dict[str, Any] = dict(job["arguments"])
    live = handoff / "live.pickle"
    if live.is_file():
        try:
            import cloudpickle  # what the supervisor pickled itself, in a folder of its own

            given |= cloudpickle.loads(live.read_bytes())
        except Exception as error:  # noqa: BLE001 - of whatever the objects do while they are made
            _hand_over(handoff / UNREAD, {"cause": f"{type(error).__name__}: {error}"})
            os._exit(0)
    work(handoff, job["target"], given)


def work(handoff: Path, target: str, arguments: Mapping[str, Any]) -> None:
    """Call ``module:function``, hand over what it returns or raises, and end the process."""
    board = StatusBoard(handoff / "status", create=False)
    crash = (handoff / "crash.txt").open("w", encoding="utf-8")
    faulthandler.enable(crash, all_threads=False)
    try:
        module, _, function = target.partition(":")
        with observed_by(board.call), observed_by(StandardStreams().after_call):
            result = getattr(importlib.import_module(module), function)(**arguments, board=board)
        _hand_over(handoff / "result.json", result)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor is told
        _hand_over(handoff / "error.json", described(error))
    faulthandler.disable()
    os._exit(0)


def described(error: BaseException) -> dict[str, Any]:
    """An error as the supervisor reads it: message, exit code, traceback where that helps."""
    message, code = ending(error)
    text = "" if is_usage(error) else "".join(traceback.format_exception(error))
    kind = type(error).__name__
    return {"message": message, "code": code, "traceback": text, "kind": kind}


def _hand_over(path: Path, document: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document), encoding="utf-8")
    part.replace(path)


def die_with(parent: int) -> None:
    """End when the process that started this one does, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name=WATCHER, daemon=True).start()
