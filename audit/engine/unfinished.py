"""The result of an audit whose process ended early: what was finished is judged, no more."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit.config.settings import Settings
from audit.engine.assembly import data_info, model_info
from audit.engine.gate_inputs import load_gate, rule_given
from audit.engine.picture_drawing import pairs_with_pictures
from audit.engine.provenance import explainer_info, timing
from audit.engine.supervision import WorkerEndedError
from audit.evidence.context import Context
from audit.evidence.interim_looks import PLAN, audit_key
from audit.evidence.kinds import Evidence, Roles
from audit.evidence.plan import Gathered, load_evidence
from audit.evidence.store import StoreError
from audit.judging.group_sequential import judge_at_once
from audit.judging.selection import by_check, selected_checks
from audit.result.outcome import outcome
from audit.result.schema import Conditions, DataInfo, ExplainerInfo, Failure, ModelInfo, Result
from audit.result.shown_pairs import pairs_shown

SUBJECT = "subject"


def subject_document(context: Context, run: Conditions, started: str) -> dict[str, Any]:
    """What a result says beside its findings, known before the explainer runs."""
    return {
        "explainer": explainer_info(context.audited).model_dump(mode="json"),
        "model": model_info(context.model).model_dump(mode="json"),
        "data": data_info(context.pairs, Evidence(roles=context.roles)).model_dump(mode="json"),
        "conditions": run.model_dump(mode="json"),
        "roles": asdict(context.roles),
        "started": started,
    }


def unfinished_result(settings: Settings, error: WorkerEndedError) -> Result:
    """The result of an audit whose worker ended early.

    Args:
        settings: of the audit.
        error: how its worker ended, and the subject that it had left.

    Raises:
        WorkerEndedError: the worker had not come so far as to leave its subject.
    """
    subject = error.left.get(SUBJECT)
    if subject is None:
        raise error
    explainer = ExplainerInfo.model_validate(subject["explainer"])
    model, data = (
        ModelInfo.model_validate(subject["model"]),
        DataInfo.model_validate(subject["data"]),
    )
    run = Conditions.model_validate(subject["conditions"])
    checks = selected_checks(settings)
    gate = load_gate(settings, checks)
    evidence = _finished(Path(settings.out) / "evidence", run.evidence, _roles(subject["roles"]))
    failure = Failure(where="the explainer's process", message=error.doing, traceback="")
    found = judge_at_once(
        checks,
        Gathered(evidence, (failure,), {}),
        severity=by_check(settings.severity, checks),
        thresholds=by_check(settings.thresholds, checks),
    )
    judged, notes = gate.applied(
        found.results, explainer=explainer.name, model=model, data=data.sha256
    )
    shown_pairs, _ = pairs_with_pictures(pairs_shown(judged, []), evidence.reference, {})
    failures = [failure, *found.broken]
    return Result(
        **outcome(explainer.name, judged, failures, rule_given(settings)),
        explainer=explainer,
        model=model,
        data=data,
        conditions=run,
        timing=timing(subject["started"], {}, {}),
        checks=judged,
        shown_pairs=shown_pairs,
        failures=failures,
        notes=[*settings.notes, *notes, *model.notes, *data.notes],
    )


def _roles(written: dict[str, Any]) -> Roles:
    """As they were before JSON made lists of their tuples."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
    }
    return Roles(**given)


def _finished(folder: Path, key: str, roles: Roles) -> Evidence:
    """The kinds that were finished; none of an audit that was taken in looks."""
    try:
        if audit_key(folder) == key and not (folder / PLAN).is_file():
            return load_evidence(folder)
    except StoreError:
        pass
    return Evidence(roles=roles)
