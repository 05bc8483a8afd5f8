"""What the gate works with: waivers and baseline, read before the work begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.config.waivers import WaiverEntry, read_waivers
from audit.former_names import present_explainer, present_name
from audit.gate.gating import Gate
from audit.judging.selection import required_checks
from audit.nearest_name import nearest_of
from audit.reports.output import PREVIOUS
from audit.result.document import ResultFormatError, read_result
from audit.result.finding import Severity
from audit.result.gate_rule import Rule
from audit.result.schema import Result
from principles.catalogue import all_checks
from principles.check import Check


def load_gate(settings: Settings, checks: Iterable[Check] = (), today: date | None = None) -> Gate:
    """Read waivers and baseline, and which checks are required.

    Args:
        settings: name them.
        checks: that run.
        today: by which waivers expire; default the current day (UTC).

    Raises:
        SettingsError: the baseline is missing or no result, a waiver names no check, or a required
            check does not run.
        WaiverError: the waivers cannot be read.
    """
    waivers = settings.waivers
    entries = read_waivers(Path(waivers)) if isinstance(waivers, str) else waivers
    entries, notes = _under_present_names(entries)
    known = [check.id for check in all_checks()]
    for entry in entries:
        if entry.check.upper() not in known:
            raise SettingsError(f"waivers: {nearest_of('check', entry.check.upper(), known)}")
    return Gate(
        waivers=entries,
        baseline=_baseline(settings.baseline),
        strict=settings.strict,
        today=today or datetime.now(UTC).date(),
        notes=notes,
        required=required_checks(settings, checks),
    )


def rule_given(settings: Settings) -> Rule:
    """What decides, by the settings, whether the gate fails."""
    return {"fail_on": Severity(settings.fail_on), "strict": settings.strict}


def _under_present_names(
    entries: Sequence[WaiverEntry],
) -> tuple[tuple[WaiverEntry, ...], tuple[str, ...]]:
    """The waivers with present names, and a note for each former one."""
    found, notes = [], []
    for entry in entries:
        check, of_check = present_name("check", entry.check)
        explainer, of_explainer = present_explainer(entry.explainer or "")
        found.append(
            entry.model_copy(update={"check": check, "explainer": explainer or entry.explainer})
        )
        notes += [f"waivers: {note}" for note in (*of_check, *of_explainer)]
    return tuple(found), tuple(dict.fromkeys(notes))


def _baseline(path: str | None) -> Result | None:
    if path is None:
        return None
    file, aside = Path(path), Path(path).parent / PREVIOUS / Path(path).name
    try:
        return read_result(aside if aside.is_file() and not file.exists() else file)
    except (OSError, ResultFormatError) as error:
        cause = f"'{path}': {error.strerror}" if isinstance(error, OSError) else error
        raise SettingsError(
            f"cannot read the baseline {cause}; give the result.json of an earlier audit"
        ) from error
