"""The result as SARIF 2.1.0, for code scanning: violations as alerts on the explainer's lines.

Only violations with a line in the user's repository are results: several readers show every result
as an alert, and code scanning refuses a log in which one has no file that it knows. Violations
elsewhere and what could not be judged are notifications of the tool. Fingerprints depend on the
check, the explainer, the model and the line as it is written, not on its number or on measured
values, so that an alert keeps its identity while the file around it, the data or the seed change.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from audit.reports import statuses
from audit.reports.markdown import escape_markdown
from audit.reports.repository_places import path_from_root, places_in_repository
from audit.result import wording as words
from audit.result.figures import SourceFigure
from audit.result.finding import Location, Severity
from audit.result.schema import CheckResult, Result

__all__ = ["FINGERPRINT", "SARIF_SCHEMA", "render_sarif"]

Object: TypeAlias = dict[str, Any]

SARIF_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT: Final = "explainerAudit/v1"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning"}
_TEXT_LIMIT: Final = 4000


def render_sarif(result: Result) -> str:
    """The log as indented JSON with keys in a fixed order."""
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [_run(result)]}
    return json.dumps(log, indent=1) + "\n"


def _run(result: Result) -> Object:
    indices = {check.id: index for index, check in reversed(list(enumerate(result.checks)))}
    return {
        "tool": {"driver": _driver(result)},
        "automationDetails": {"id": f"explainer-audit/{_plain(result.explainer.name, 80)}/"},
        "columnKind": "utf16CodeUnits",
        "invocations": [_invocation(result)],
        "results": [
            _result(check, indices[check.id], places, result)
            for check in _violated(result)
            if (places := places_in_repository(check, result))
        ],
        "properties": {
            "verdict": result.verdict,
            "explainer": _plain(words.explainer_phrase(result)),
            "model": _plain(words.model_phrase(result)),
            "modelIdentity": result.model.identity_sha256,
            "data": _plain(result.data.name),
        },
    }


def _violated(result: Result) -> list[CheckResult]:
    return [check for check in result.checks if statuses.status_of(check).key in statuses.VIOLATED]


def _driver(result: Result) -> Object:
    return {
        "name": "explainer-audit",
        "version": _plain(result.conditions.audit_version, 80),
        "rules": [_rule(check) for check in result.checks],
    }


def _rule(check: CheckResult) -> Object:
    sections = {
        "What it does": check.what_it_does,
        "Why it matters": check.why_it_matters,
        "How to fix it": check.how_to_fix,
        "What a pass does not show": check.what_a_pass_does_not_show,
        "Reference": check.reference,
    }
    stated = [(name, text) for name, text in sections.items() if text]
    level = _LEVELS[check.severity]
    return {
        "id": _plain(check.id, 80),
        "name": _pascal(check.name),
        "shortDescription": {"text": _plain(check.title)},
        "fullDescription": {"text": _plain(check.what_it_does)},
        "help": {
            "text": "\n\n".join(f"{name}: {_plain(text)}" for name, text in stated),
            "markdown": "\n\n".join(
                f"**{name}.** {escape_markdown(text, _TEXT_LIMIT)}" for name, text in stated
            ),
        },
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": ["explainability", f"principle-{check.principle}"],
            "problem.severity": level,
        },
    }


def _result(check: CheckResult, index: int, places: list[Location], result: Result) -> Object:
    found: Object = {
        "ruleId": _plain(check.id, 80),
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS[statuses.severity_of(check)],
        "message": {"text": _message(check)},
        "locations": [_location(places[0], check, result)],
        "relatedLocations": [
            {"id": number, **_location(place, check, result)}
            for number, place in enumerate(places[1:], 1)
        ],
        "partialFingerprints": {FINGERPRINT: _fingerprint(check, places, result)},
    }
    if check.is_new is not None:
        found["baselineState"] = "new" if check.is_new else "unchanged"
    if check.waiver is not None:
        reason = f"{check.waiver.owner}, until {check.waiver.expires}: {check.waiver.reason}"
        found["suppressions"] = [{"kind": "external", "justification": _plain(reason)}]
    return found


def _message(check: CheckResult) -> str:
    parts = [check.finding.summary]
    parts += [f"{one.name}: {words.statistic_phrase(one)}." for one in check.finding.statistics[:1]]
    parts += [f"What to do: {remedy}"] if (remedy := statuses.remedy(check)) else []
    parts += [f"See it again: {check.finding.witness.command}"] if check.finding.witness else []
    return "\n".join(_plain(part) for part in parts if part.strip()) or check.id


def _location(place: Location, check: CheckResult, result: Result) -> Object:
    region: Object = {"startLine": max(place.line, 1)}
    if line := _source_line(place, check):
        region["snippet"] = {"text": _plain(line)}
    where = {
        "artifactLocation": {"uri": _uri(path_from_root(place.file, result))},
        "region": region,
    }
    said = {"message": {"text": _plain(place.text)}} if place.text else {}
    return {"physicalLocation": where, **said}


def _source_line(place: Location, check: CheckResult) -> str:
    """The text of the line, where the finding quotes it; else empty."""
    for figure in check.finding.figures:
        if isinstance(figure, SourceFigure) and (figure.file, figure.line) == (
            place.file,
            place.line,
        ):
            at = place.line - figure.first_line
            return figure.lines[at] if 0 <= at < len(figure.lines) else ""
    return ""


def _uri(file: str) -> str:
    return quote(file.encode("utf-8", "surrogatepass"), safe="/")


def _fingerprint(check: CheckResult, places: list[Location], result: Result) -> str:
    file = path_from_root(places[0].file, result)
    line = " ".join(_source_line(places[0], check).split())
    subject = [words.explainer_phrase(result), words.model_phrase(result)]
    identity = [check.id, *subject, file, line]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _invocation(result: Result) -> Object:
    indices = {check.id: index for index, check in reversed(list(enumerate(result.checks)))}
    errors = [c for c in result.checks if statuses.status_of(c).key == "error"]
    placeless = [c for c in _violated(result) if not places_in_repository(c, result)]
    notes: list[Object] = [
        {
            "level": _notification_level(check),
            "message": {"text": f"{statuses.status_of(check).word}: {_message(check)}"},
            "associatedRule": {"id": _plain(check.id, 80), "index": indices[check.id]},
        }
        for check in (*errors, *placeless)
    ]
    notes += _inconclusive(result)
    notes += [
        {
            "level": "error",
            "message": {"text": _plain(f"{failure.where}: {failure.message}")},
            "exception": {"kind": "Failure", "message": _plain(failure.message)},
        }
        for failure in result.failures
    ]
    return {
        "executionSuccessful": result.verdict != "incomplete",
        "exitCode": result.exit_code,
        "commandLine": _plain(result.conditions.command),
        "toolExecutionNotifications": notes,
    }


def _notification_level(check: CheckResult) -> str:
    levels = {"violation": "error", "error": "error", "warning": "warning"}
    return levels.get(statuses.status_of(check).key, "note")


def _inconclusive(result: Result) -> list[Object]:
    """One note for all of them."""
    checks = statuses.inconclusive(result)
    lines = [
        f"{check.id} {check.name}: {_plain(check.finding.summary, 400)} {statuses.remedy(check)}"
        for check in checks
    ]
    text = "\n".join(_plain(line.strip(), 800) for line in lines)
    return [{"level": "note", "message": {"text": f"Inconclusive:\n{text}"}}] if checks else []


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.findall(r"[A-Za-z0-9]+", name))[:80]


def _plain(text: str, limit: int = _TEXT_LIMIT) -> str:
    return words.visible(words.shorten(text, limit))
