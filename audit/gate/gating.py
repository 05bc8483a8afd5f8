"""What the gate makes of the judged checks: waived, known from the baseline, or failing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from audit.config import Settings, SettingsError
from audit.gate.baseline import apply_baseline
from audit.gate.waivers import WaiverEntry, apply_waivers, read_waivers
from audit.gate.words import nearest_of
from audit.reports.json import ResultFormatError, load_result
from audit.result import CheckResult, Result


@dataclass(frozen=True)
class Gate:
    """Waivers and baseline, read before the work begins.

    Attributes:
        waivers: of the project.
        baseline: an accepted earlier result.
        strict: INCONCLUSIVE fails as well.
        today: by which waivers expire.
    """

    waivers: tuple[WaiverEntry, ...]
    baseline: Result | None
    strict: bool
    today: date

    def applied(
        self, checks: Sequence[CheckResult], *, explainer: str, model: str, data: str
    ) -> tuple[list[CheckResult], list[str]]:
        """The checks with waivers and novelty, and notes for the reader.

        Args:
            checks: as judged.
            explainer: its name.
            model: hash of the model's state.
            data: hash of the data.
        """
        judged, notes = apply_waivers(
            checks, self.waivers, explainer=explainer, strict=self.strict, today=self.today
        )
        if self.baseline is None:
            return judged, notes
        same = (self.baseline.model.state_sha256, self.baseline.data.sha256) == (model, data)
        marked, more = apply_baseline(judged, self.baseline, same_subject=same)
        return marked, notes + more


def load_gate(settings: Settings, known: Sequence[str], today: date | None = None) -> Gate:
    """Read waivers and baseline.

    Args:
        settings: name them.
        known: ids of all checks, since a waiver for no check is a slip.
        today: by which waivers expire; default the current day (UTC).

    Raises:
        SettingsError: the baseline is missing or no result, or a waiver names no check.
        WaiverError: the waivers cannot be read.
    """
    waivers = settings.waivers
    entries = read_waivers(Path(waivers)) if isinstance(waivers, str) else waivers
    for entry in entries:
        if entry.check.upper() not in known:
            raise SettingsError(f"waivers: {nearest_of('check', entry.check.upper(), known)}")
    return Gate(
        waivers=entries,
        baseline=_baseline(settings.baseline),
        strict=settings.strict,
        today=today or datetime.now(timezone.utc).date(),
    )


def _baseline(path: str | None) -> Result | None:
    if path is None:
        return None
    try:
        return load_result(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ResultFormatError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"cannot read the baseline '{path}': {cause}; give the result.json of an earlier audit"
        ) from error
