"""Judging saved evidence again, with other thresholds, severities or gate, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.engine.assembly import audit_notes
from audit.engine.gate_inputs import load_gate, rule_given
from audit.engine.picture_drawing import pairs_with_pictures
from audit.engine.provenance import timing
from audit.engine.stopwatch import Stopwatch
from audit.evidence.interim_looks import PLAN, Looks, audit_key, saved_looks
from audit.evidence.kinds import Evidence
from audit.evidence.plan import Gathered, failed_kinds, load_evidence
from audit.judging.answerable import answerable, with_the_others
from audit.judging.group_sequential import Judged, judge_at_once, judge_by_looks
from audit.judging.selection import by_check, selected_checks
from audit.result.document import read_result
from audit.result.outcome import outcome
from audit.result.schema import Failure, Result
from audit.result.shown_pairs import pairs_shown
from principles.check import Check

_JUDGING = (
    "select",
    "ignore",
    "severity",
    "thresholds",
    "fail_on",
    "strict",
    "require",
    "waivers",
    "baseline",
    "baseline_rev",
)


def rejudge(folder: Path, settings: Settings) -> Result:
    """Judge the evidence of a finished audit again.

    Args:
        folder: the audit's output folder, or the folder ``evidence`` in it.
        settings: checks, thresholds, severities and gate; model and data are the audit's.

    Raises:
        SettingsError: no result beside the evidence, or wrong settings.
        StoreError: no evidence, or damaged.
    """
    chosen = selected_checks(settings)
    gate = load_gate(settings, chosen)
    own = any((folder / name).is_file() for name in ("roles.json", PLAN))
    evidence_folder = folder if own else folder / "evidence"
    in_looks = (evidence_folder / PLAN).is_file()
    at_once = None if in_looks else load_evidence(evidence_folder)
    old = _result_beside(evidence_folder)
    if settings.strict and old.conditions.supervised is False:
        raise SettingsError(
            "strict: expected evidence of an explainer that ran in a process of its own, found "
            "'supervised: no'; gather it again by 'audit check'"
        )
    gathering = [f for f in old.failures if not f.where.startswith("judging ")]
    evidence = at_once or saved_looks(evidence_folder, failed_kinds(gathering))
    watch = Stopwatch()
    found = _judged(evidence, chosen, gathering, settings, watch)
    checks, notes = gate.applied(
        found.results,
        explainer=old.explainer.name,
        model=old.model,
        data=old.data.sha256,
    )
    name = old.explainer.name
    shown = pairs_shown(checks, old.gallery)
    reference = found.gathered.evidence.reference
    drawn = {pair: png for pair, png in _pngs(old).items() if pair in shown[: settings.pictures]}
    shown_pairs, pictures = pairs_with_pictures(shown, reference, drawn)
    failures = [*gathering, *found.broken]
    return old.model_copy(
        update={
            **outcome(name, checks, failures, rule_given(settings)),
            "checks": checks,
            "shown_pairs": shown_pairs,
            "pictures": pictures,
            "timing": timing(old.timing.started, old.timing.gathering, watch.seconds),
            "failures": failures,
            "notes": [
                *settings.notes,
                *notes,
                *old.model.notes,
                *old.data.notes,
                *audit_notes(name, old.equivalences, found, old.conditions.dtype, old.quality),
            ],
            "conditions": old.conditions.model_copy(update={"settings": _settings(old, settings)}),
        }
    )


def _pngs(result: Result) -> dict[str, str]:
    """The picture of each pair that a result shows."""
    return {
        pair: result.pictures[shown.picture]
        for pair, shown in result.shown_pairs.items()
        if shown.picture in result.pictures
    }


def _judged(
    evidence: Evidence | Looks,
    chosen: Sequence[Check],
    gathering: Sequence[Failure],
    settings: Settings,
    watch: Stopwatch,
) -> Judged:
    """Judge at once, or at the same looks as the audit did."""
    severity = by_check(settings.severity, chosen)
    thresholds = by_check(settings.thresholds, chosen)
    if isinstance(evidence, Evidence):
        asked = answerable(chosen, evidence.roles)
        gathered = Gathered(evidence, tuple(gathering), {})
        found = judge_at_once(
            asked, gathered, severity=severity, thresholds=thresholds, timed=watch.timed
        )
        return with_the_others(found, chosen, severity)

    def named(number: int, wanted: frozenset[str]) -> Gathered:
        return replace(evidence.at(number, wanted), failures=tuple(gathering))

    looks = replace(evidence, at=named)
    asked = answerable(chosen, evidence.at(1, frozenset()).evidence.roles)
    found = judge_by_looks(
        asked, looks, severity=severity, thresholds=thresholds, timed=watch.timed
    )
    return with_the_others(found, chosen, severity)


def _result_beside(evidence_folder: Path) -> Result:
    """The result that was judged by this evidence."""
    path = evidence_folder.parent / "result.json"
    if not path.is_file():
        raise SettingsError(
            f"expected result.json in '{evidence_folder.parent}' beside the evidence, found none; "
            "finish the audit first"
        )
    result = read_result(path)
    if result.conditions.evidence != audit_key(evidence_folder):
        raise SettingsError(
            f"expected the result of this evidence beside it, found that of another audit, of "
            f"'{result.explainer.name}', in '{path}': an audit that began later was not finished; "
            "finish it, or give the folder of a finished one"
        )
    return result


def _settings(old: Result, settings: Settings) -> dict[str, str]:
    """The audit's settings, with those of judging replaced."""
    kept = {k: v for k, v in old.conditions.settings.items() if k not in _JUDGING}
    now = {k: v for k, v in settings.shown().items() if k in _JUDGING}
    return {**kept, **now}
