"""The verdict as an in-toto statement, bound to explainer, model and data by their hashes.

Statement v1 with a test-result v0.1 predicate, unsigned: sign it with the tool of your choice.
Source: github.com/in-toto/attestation, spec/v1/statement.md and spec/predicates/test-result.md.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from audit.result import wording as words
from audit.result.finding import Verdict
from audit.result.gate_rule import fails, rule_of
from audit.result.schema import Result

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"


class AttestationError(ValueError):
    """The verdict cannot be bound to what it is about; the message says to what and why."""


def render_attestation(result: Result) -> str:
    """The statement as indented JSON.

    Raises:
        AttestationError: the explainer's source, the model or the data has no hash.
    """
    failed, warned, passed = _sorted(result)
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(result),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": "FAILED" if result.exit_code else "WARNED" if warned else "PASSED",
            "configuration": _configuration(result),
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    }
    return json.dumps(statement, indent=1) + "\n"


def _subjects(result: Result) -> list[dict[str, Any]]:
    explainer, model, data = result.explainer, result.model, result.data
    named = {
        f"explainer:{words.explainer_phrase(result)}": explainer.source_sha256,
        f"model:{model.name}": model.identity_sha256,
        f"data:{data.name}": data.sha256,
    }
    for name, sha in named.items():
        if not sha:
            raise AttestationError(
                f"--attest: expected a hash of {name}, found none; a verdict that is not bound to "
                "what it is about proves nothing; give the explainer as FILE.py:FUNCTION"
            )
    return [{"name": name, "digest": {"sha256": sha}} for name, sha in named.items()]


def _configuration(result: Result) -> list[dict[str, Any]]:
    settings = json.dumps(dict(sorted(result.conditions.settings.items()))).encode()
    document = {
        "name": "settings",
        "digest": {"sha256": hashlib.sha256(settings).hexdigest()},
        "annotations": dict(sorted(result.conditions.settings.items())),
    }
    if result.conditions.git_commit is None:
        return [document]
    commit = {
        "name": "explainer-repository",
        "digest": {"gitCommit": result.conditions.git_commit},
        "annotations": {"uncommittedChanges": bool(result.conditions.git_dirty)},
    }
    return [document, commit]


def _sorted(result: Result) -> tuple[list[str], list[str], list[str]]:
    """Checks that fail, that pass with a word of caution, and that pass."""
    rule = rule_of(result)
    failed, warned, passed = [], [], []
    for check in result.checks:
        name, verdict = f"{check.id} {check.name}", check.finding.verdict
        if verdict is Verdict.PASS:
            passed.append(name)
        elif verdict is Verdict.ERROR or fails(check, **rule):
            failed.append(name)
        elif verdict is not Verdict.NOT_APPLICABLE:
            warned.append(name)
    return failed, warned, passed
