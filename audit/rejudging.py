"""Judging saved evidence again, with other thresholds or severities, without a model."""

from __future__ import annotations

from pathlib import Path

from audit.config import Settings, SettingsError
from audit.gathering import load_evidence
from audit.judging import judge_all
from audit.pictures import pictures_of, with_pictures
from audit.reports.json import load_result
from audit.result import Result, Severity
from audit.summary import exit_code, headline_and_sentences


def rejudge(folder: Path, settings: Settings) -> Result:
    """Judge the evidence of a finished audit again.

    Args:
        folder: the audit's output folder, or the folder ``evidence`` in it.
        settings: checks, thresholds, severities and gate; model and data are the audit's.

    Raises:
        SettingsError: no result beside the evidence.
        StoreError: no evidence, or damaged.
    """
    from audit.engine import selected_checks

    evidence_folder = folder if (folder / "roles.json").is_file() else folder / "evidence"
    evidence = load_evidence(evidence_folder)
    path = evidence_folder.parent / "result.json"
    if not path.is_file():
        raise SettingsError(
            f"expected result.json in '{evidence_folder.parent}' beside the evidence, found none; "
            "finish the audit first"
        )
    old = load_result(path.read_text(encoding="utf-8"))
    checks, broken = judge_all(
        selected_checks(settings),
        evidence,
        old.failures,
        severity=settings.severity,
        thresholds=settings.thresholds,
    )
    code = exit_code(checks, fail_on=Severity(settings.fail_on), strict=settings.strict)
    headline, sentences = headline_and_sentences(old.explainer.name, checks, code)
    result = old.model_copy(
        update={
            "checks": checks,
            "exit_code": code,
            "verdict": {0: "pass", 1: "violation", 3: "incomplete"}[code],
            "headline": headline,
            "principle_sentences": sentences,
            "failures": [*old.failures, *broken],
        }
    )
    return with_pictures(result, pictures_of(old))
