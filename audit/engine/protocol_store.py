"""What an interrupted protocol has measured, one file an explainer: it goes on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from audit.engine.protocol_maps import Grid
from audit.evidence.completion import SOURCES, mark_finished, may_resume
from audit.explainers.contract import Explainer
from audit.explainers.sources import SourceRecord
from audit.reports.output import writable, write_whole

MEASURED: Final = "measured"
Values = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Measured:
    """What came of an explainer.

    Attributes:
        values: by measure, one number a pair; empty where it cannot explain this model.
        left_out: why it cannot.
        maps: of the pairs that are shown, by their ids.
    """

    values: Values
    left_out: str = ""
    maps: Mapping[str, Grid] = field(default_factory=dict)


class ProtocolStore:
    """Keeps what explainers gave on one model and its data.

    It is used again only to finish an interrupted run, and only while all sources that were seen
    are as they were.

    Args:
        folder: of the output.
        key: a hash of all that the numbers depend on beside the explainer.
        resume: whether an interrupted run is finished.
    """

    def __init__(self, folder: Path, key: str, *, resume: bool) -> None:
        self.folder = writable(folder / MEASURED / key)
        self._resumes = may_resume(self.folder, resume=resume, reuse=False)
        self._beside = (folder,)
        self._own: tuple[str, ...] = ()

    def kept(self, spec: str) -> Measured | None:
        """What an explainer gave before the interruption; None where it did not get so far."""
        if not self._resumes:
            return None
        try:
            found = json.loads(self._file(spec).read_text(encoding="utf-8"))
            values = {name: tuple(map(float, own)) for name, own in found["values"].items()}
            return Measured(values, str(found["left_out"]), dict(found["maps"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, spec: str, measured: Measured, explainer: Explainer | None = None) -> None:
        """Write what an explainer gave, and what its numbers depend on.

        Args:
            spec: of it.
            measured: what it gave.
            explainer: it, whose own file counts wherever it lies.

        Raises:
            OutputWriteError: the disk is full, or the folder cannot be written to.
        """
        if explainer is not None and explainer.source_file:
            self._own = (*self._own, explainer.source_file)
        SourceRecord(self.folder / SOURCES, self._own, beside=self._beside).update()
        write_whole(self._file(spec), f"{json.dumps(asdict(measured))}\n")

    def _file(self, spec: str) -> Path:
        return self.folder / f"{hashlib.sha256(spec.encode()).hexdigest()[:16]}.json"


def finish(folder: Path, key: str) -> None:
    """Say that the tables of these numbers have been written: the next run measures anew."""
    mark_finished(folder / MEASURED / key)
