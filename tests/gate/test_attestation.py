"""The in-toto statement: shape, subjects, and a result that follows the exit code."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from audit.gate.attestation import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    AttestationError,
    render_attestation,
)
from audit.result.finding import Severity, Verdict
from audit.result.schema import Waiver


def predicate(result):
    return json.loads(render_attestation(result))["predicate"]


def test_statement_binds_explainer_model_and_data(red):
    statement = json.loads(render_attestation(red))
    assert statement["_type"] == STATEMENT_TYPE
    assert statement["predicateType"] == PREDICATE_TYPE
    digests = {s["name"].partition(":")[0]: s["digest"]["sha256"] for s in statement["subject"]}
    source = Path(red.explainer.source_file)
    source = source if source.is_file() else Path(__file__).parents[2] / source
    assert digests == {
        "explainer": hashlib.sha256(source.read_bytes()).hexdigest(),
        "model": red.model.identity_sha256,
        "data": red.data.sha256,
    }


# What the specification requires: in-toto/attestation, spec/v1/statement.md, resource_descriptor.md
# and spec/predicates/test-result.md.
DESCRIPTOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "digest": {
            "type": "object",
            "minProperties": 1,
            "properties": {
                "sha256": {"pattern": "^[0-9a-f]{64}$"},
                "gitCommit": {"pattern": "^[0-9a-f]{40}([0-9a-f]{24})?$"},
            },
            "additionalProperties": False,
        },
        "annotations": {"type": "object"},
    },
    "additionalProperties": False,
    "required": ["digest"],
}
TESTS = {"type": "array", "items": {"type": "string"}}
STATEMENT = {
    "type": "object",
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": DESCRIPTOR},
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "minItems": 1, "items": DESCRIPTOR},
                "url": {"type": "string"},
                "passedTests": TESTS,
                "warnedTests": TESTS,
                "failedTests": TESTS,
            },
            "additionalProperties": False,
            "required": ["result", "configuration"],
        },
    },
    "additionalProperties": False,
    "required": ["_type", "subject", "predicateType", "predicate"],
}


def test_statement_has_what_the_specification_requires(red, green):
    validator = jsonschema.Draft202012Validator(STATEMENT)
    conditions = red.conditions.model_copy(update={"git_commit": None})
    for result in (red, green, red.model_copy(update={"conditions": conditions})):
        statement = json.loads(render_attestation(result))
        validator.validate(statement)
        names = [subject["name"] for subject in statement["subject"]]
        assert len(set(names)) == len(names) == 3
    assert not validator.is_valid({**statement, "subject": []})


def test_a_commit_with_changes_says_so(red):
    for dirty in (True, False):
        update = {"git_commit": "a" * 40, "git_dirty": dirty}
        conditions = red.conditions.model_copy(update=update)
        _, commit = predicate(red.model_copy(update={"conditions": conditions}))["configuration"]
        assert commit["annotations"] == {"uncommittedChanges": dirty}


def test_a_verdict_about_nothing_is_not_attested(red):
    unknown = red.explainer.model_copy(update={"source_sha256": None})
    with pytest.raises(AttestationError, match="expected a hash of explainer:grad-eclip, found"):
        render_attestation(red.model_copy(update={"explainer": unknown}))


def test_the_same_result_gives_the_same_bytes(red):
    assert render_attestation(red) == render_attestation(red)


def test_failed_warned_passed(red, green):
    failed = predicate(red)
    assert failed["result"] == "FAILED"
    assert failed["failedTests"] == ["P104 score-preserved", "P105 computation-preserved"]
    assert failed["passedTests"] == ["P101 weights-unchanged"]
    assert failed["warnedTests"] == ["P201 tracks-ladder"]  # inconclusive
    assert predicate(green)["result"] == "WARNED"
    sure = [c for c in green.checks if c.finding.verdict is Verdict.PASS]
    assert predicate(green.model_copy(update={"checks": sure}))["result"] == "PASSED"


def test_waivers_warn_and_errors_fail(red):
    waiver = Waiver(check="P104", reason="r", owner="o", expires="2030-01-31")
    waived = [c.model_copy(update={"waiver": waiver}) for c in red.checks]
    excused = predicate(red.model_copy(update={"checks": waived, "exit_code": 0}))
    assert excused["result"] == "WARNED"
    assert excused["failedTests"] == []
    warning = [c.model_copy(update={"severity": Severity.WARNING}) for c in red.checks]
    assert (
        predicate(red.model_copy(update={"checks": warning, "exit_code": 0}))["result"] == "WARNED"
    )
    broken = red.checks[0].model_copy(
        update={"finding": red.checks[0].finding.model_copy(update={"verdict": Verdict.ERROR})}
    )
    incomplete = predicate(red.model_copy(update={"checks": [broken], "exit_code": 3}))
    assert incomplete["result"] == "FAILED"
    assert incomplete["failedTests"] == ["P101 weights-unchanged"]


def test_strict_fails_on_inconclusive(green):
    conditions = green.conditions.model_copy(
        update={"settings": {**green.conditions.settings, "strict": "True"}}
    )
    strict = green.model_copy(update={"conditions": conditions, "exit_code": 1})
    assert predicate(strict)["failedTests"] == ["P201 tracks-ladder"]


def test_configuration_hash_follows_the_settings(red):
    settings = {**red.conditions.settings, "samples": "7"}
    other = red.model_copy(
        update={"conditions": red.conditions.model_copy(update={"settings": settings})}
    )
    hashes = {predicate(result)["configuration"][0]["digest"]["sha256"] for result in (red, other)}
    assert len(hashes) == 2


def test_command_writes_it(check_tiny):
    assert check_tiny("grad-eclip", "--attest", "out/verdict.json", select="P104").exit_code == 1
    statement = json.loads(Path("out", "verdict.json").read_text())
    assert statement["predicate"]["result"] == "FAILED"
