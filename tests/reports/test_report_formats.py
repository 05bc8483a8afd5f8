"""SARIF, JUnit, Markdown, GitHub annotations: what their readers need, and no way out for text."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from audit.reports.formats import FORMATS
from audit.reports.github import escape_data, escape_property, render_github
from audit.reports.junit import render_junit
from audit.reports.markdown import escape_markdown, render_markdown
from audit.reports.sarif import FINGERPRINT, render_sarif
from audit.result.figures import SourceFigure
from audit.result.finding import Location, Verdict
from audit.result.schema import Result
from tests.oracles import oracle

GOLDEN = Path(__file__).parent / "golden"
SARIF = json.loads((GOLDEN / "sarif_2_1_0.json").read_text(encoding="utf-8"))


def run_of(result: Result) -> dict:
    """The only run of the SARIF log."""
    (run,) = json.loads(render_sarif(result))["runs"]
    return run


def moved(result: Result, *, lines: int, file: str | None = None) -> Result:
    """The same findings, further down in the file or in another file, with other numbers."""
    checks = []
    for check in result.checks:
        places = [
            Location(file=file or place.file, line=place.line + lines, text="off by 0.123")
            for place in check.finding.locations
        ]
        figures = [
            one.model_copy(
                update={
                    "file": file or one.file,
                    "line": one.line + lines,
                    "first_line": one.first_line + lines,
                }
            )
            if isinstance(one, SourceFigure)
            else one
            for one in check.finding.figures
        ]
        finding = check.finding.model_copy(
            update={"locations": places, "summary": "other", "figures": figures}
        )
        checks.append(check.model_copy(update={"finding": finding}))
    return result.model_copy(update={"checks": checks})


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_can_be_written(name: str, result: Result, hostile: Result) -> None:
    one = FORMATS[name]
    assert one.name == name
    assert one.description
    for case in (result, hostile):
        one.render(case).encode("utf-8")
    assert one.render(result) == one.render(result)
    assert len({form.file_name for form in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("name", ["result", "hostile"])
def test_sarif_is_valid(name: str, request: pytest.FixtureRequest) -> None:
    log = json.loads(render_sarif(request.getfixturevalue(name)))
    jsonschema.Draft4Validator(SARIF).validate(log)
    assert log["$schema"] == SARIF["id"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), "2.0.0"),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {"txt": "no text"}),
        (("runs", 0, "tool", "driver", "rules", 0, "id"), 104),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
    ],
)
def test_sarif_schema_refuses_what_is_not_sarif(
    path: tuple[str | int, ...], value: object, result: Result
) -> None:
    log = json.loads(render_sarif(result))
    node = log
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    assert not jsonschema.Draft4Validator(SARIF).is_valid(log)


def test_sarif_results_are_the_violations(result: Result) -> None:
    run = run_of(result)
    found = {one["ruleId"]: one for one in run["results"]}
    assert list(found) == ["P102", "P104", "P105", "P106"]
    assert found["P105"]["level"] == "error"
    assert found["P106"]["level"] == "warning"
    assert found["P104"]["baselineState"] == "new"
    assert found["P105"]["baselineState"] == "unchanged"
    assert "vision team" in found["P102"]["suppressions"][0]["justification"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note.get("associatedRule", {}).get("id") for note in notes] == ["P204", None, None]
    assert [note["level"] for note in notes] == ["error", "note", "error"]
    assert notes[1]["message"]["text"].startswith("Inconclusive:\nP202 ")


def test_sarif_points_at_the_line(result: Result) -> None:
    found = {one["ruleId"]: one for one in run_of(result)["results"]}
    place = found["P105"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "explainers/grad_eclip.py"
    line = "    attention = torch.softmax(q @ k.transpose(-2, -1) / width**0.5, dim=-1)"
    assert place["region"] == {"startLine": 88, "snippet": {"text": line}}
    assert found["P105"]["locations"][0]["message"] == {"text": "softmax(q @ k)"}
    fallback = found["P104"]["locations"][0]["physicalLocation"]
    assert fallback["region"]["startLine"] == 41
    assert found["P105"]["relatedLocations"][0]["id"] == 1


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("my explainers/a#b.py", "my%20explainers/a%23b.py"),
        ("größe/%41.py", "gr%C3%B6%C3%9Fe/%2541.py"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
    ],
)
def test_sarif_addresses_are_uris(file: str, uri: str, result: Result) -> None:
    found = {one["ruleId"]: one for one in run_of(moved(result, lines=0, file=file))["results"]}
    assert found["P105"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_fingerprints_outlive_edits_around_the_line(result: Result) -> None:
    def prints(one: Result) -> list[str]:
        return [found["partialFingerprints"][FINGERPRINT] for found in run_of(one)["results"]]

    assert prints(moved(result, lines=40)) == prints(result)
    assert len(set(prints(result))) == 4
    rewritten = Result.model_validate_json(
        result.model_dump_json().replace("attention = torch.softmax", "attention = torch.softmin")
    )
    assert prints(rewritten)[2] != prints(result)[2]
    elsewhere = prints(moved(result, lines=0, file="other.py"))
    assert elsewhere[2] != prints(result)[2]


def test_sarif_rules_say_what_the_check_says(result: Result) -> None:
    rules = {one["id"]: one for one in run_of(result)["tool"]["driver"]["rules"]}
    check = next(one for one in result.checks if one.id == "P105")
    rule = rules["P105"]
    assert rule["name"] == "ComputationPreserved"
    assert rule["fullDescription"]["text"] == check.what_it_does
    assert check.why_it_matters in rule["help"]["text"]
    assert f"How to fix it: {check.how_to_fix}" in rule["help"]["text"]
    assert rule["help"]["markdown"].startswith("**What it does.** Compares what the explainer")
    assert rule["properties"]["problem.severity"] == "error"


def test_sarif_leaves_out_a_section_that_an_old_result_does_not_have(result: Result) -> None:
    checks = [one.model_copy(update={"how_to_fix": ""}) for one in result.checks]
    rules = run_of(result.model_copy(update={"checks": checks}))["tool"]["driver"]["rules"]
    assert not any("How to fix it" in one["help"]["text"] for one in rules)


def test_markdown_says_how_to_fix_what_is_violated(result: Result) -> None:
    lines = render_markdown(result).splitlines()
    after = {a[:10]: b for a, b in itertools.pairwise(lines)}
    remedy = "  What to do: Differentiate the score that the model itself computes."
    assert after["- **P105**"] == remedy
    assert after["- **P204**"] != remedy


@pytest.mark.parametrize("name", ["html", "sarif", "junit", "markdown", "github", "json"])
def test_every_format_says_what_to_do_about_this_finding(result: Result, name: str) -> None:
    mend = "Recompute block 3 with 4 heads"
    checks = [
        one.model_copy(update={"finding": one.finding.model_copy(update={"remedy": mend})})
        if one.id == "P105"
        else one
        for one in result.checks
    ]
    text = FORMATS[name].render(result.model_copy(update={"checks": checks}))
    assert mend in text
    assert mend not in FORMATS[name].render(result)


def test_sarif_results_all_have_a_place_in_the_repository(result: Result) -> None:
    """Code scanning refuses the whole log where one has none, so the others are notifications."""
    nowhere = result.explainer.model_copy(
        update={"name": "captum:Saliency", "source_file": None, "source_line": None}
    )
    run = run_of(result.model_copy(update={"explainer": nowhere}))
    places = [one["locations"][0]["physicalLocation"] for one in run["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"explainers/grad_eclip.py"}
    told = {one["ruleId"] for one in run["results"]}
    notes = run["invocations"][0]["toolExecutionNotifications"]
    levels = {note["associatedRule"]["id"]: note["level"] for note in notes[:-2]}
    assert not told & set(levels)
    assert told | set(levels) == {"P102", "P104", "P105", "P106", "P204"}
    assert levels["P104"] == "error"


def test_junit_counts_what_ci_servers_count(result: Result) -> None:
    root = ET.fromstring(render_junit(result))  # noqa: S314 - our own document
    assert root.tag == "testsuites"
    keys = ("tests", "failures", "errors", "skipped")
    assert [[int(suite.get(key, "")) for key in keys] for suite in root] == [
        [6, 1, 0, 4],
        [3, 0, 1, 1],
        [1, 0, 1, 0],
    ]
    outcomes = {
        case.get("name", "").split()[0]: [child.tag for child in case]
        for case in root.iter("testcase")
    }
    assert outcomes == {
        **{name: [] for name in ("P101", "P201")},
        **{name: ["skipped"] for name in ("P102", "P103", "P105", "P106", "P202")},
        "P104": ["failure"],
        **{name: ["error"] for name in ("P204", "ladder")},
    }
    text = render_junit(result)
    assert "at explainers/grad_eclip.py:88 softmax(q @ k)" in text
    assert "P101 weights-unchanged: All 214 parameters stayed as they were." in text


@pytest.mark.parametrize("name", ["result", "hostile"])
def test_junit_is_valid_for_jenkins(name: str, request: pytest.FixtureRequest) -> None:
    xmlschema = oracle("xmlschema")
    schema = xmlschema.XMLSchema(GOLDEN / "junit_10.xsd")
    text = render_junit(request.getfixturevalue(name))
    schema.validate(text)
    assert not schema.is_valid(text.replace("<failure ", '<failure unheard="of" ', 1))


@pytest.mark.parametrize("name", ["result", "hostile"])
def test_junit_keeps_the_order_and_attributes_of_ant(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The rules of Ant's JUnit schema, the strictest that is in use."""
    root = ET.fromstring(render_junit(request.getfixturevalue(name)))  # noqa: S314 - our own
    assert not root.attrib
    for index, suite in enumerate(root):
        required = {"package", "id", "name", "timestamp", "hostname", "time"}
        assert set(suite.attrib) == required | {"tests", "failures", "errors", "skipped"}
        assert suite.get("id") == str(index)
        assert suite.get("timestamp") == "2026-05-04T10:11:12"
        tags = [child.tag for child in suite]
        inner = tags[1:-2]
        assert [tags[0], *tags[-2:]] == ["properties", "system-out", "system-err"]
        assert inner == ["testcase"] * len(inner)
        for case in suite.findall("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert len(case) <= 1


def test_junit_is_xml_whatever_the_text(hostile: Result) -> None:
    text = render_junit(hostile)
    root = ET.fromstring(text.encode())  # noqa: S314 - our own document
    assert {one.tag for one in root.iter()} == {
        *("testsuites", "testsuite", "testcase", "properties", "property"),
        *("failure", "error", "skipped", "system-out", "system-err"),
    }
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)
    messages = [one.get("message", "") for one in root.iter("error")]
    assert any("<img src=x onerror=alert(1)>" in message for message in messages)


def test_markdown_says_what_failed_and_where(result: Result) -> None:
    text = render_markdown(result)
    assert text.startswith("## Violation: grad-eclip explains another model")
    assert "| ✕ | P105 computation-preserved | Violation | largest divergence" in text
    assert "(explainers/grad\\_eclip.py, line 88)" in text
    assert text.index("P104") < text.index("P106") < text.index("P101")


def test_markdown_table_keeps_its_shape(hostile: Result) -> None:
    rows = [line for line in render_markdown(hostile).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(hostile.checks)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "[a](javascript:b)",
        "![](https://evil.example/x.png)",
        "*a* _b_ `c` ~d~ $e$ #1 @all :fire: a|b &amp; ^x^",
        "line\n# heading\n```",
        "back\\slash\\",
    ],
)
def test_markdown_text_stays_text(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(text.split())
    assert not re.search(r"[`*_{}\[\]()<>#|~&$!:@^]", re.sub(r"\\.", "", escaped))
    assert "www." not in escape_markdown("www.evil.example")


def test_github_annotates_the_line(result: Result) -> None:
    lines = render_github(result).splitlines()
    assert (
        "::notice file=explainers/grad_eclip.py,line=88,title=P105 computation-preserved%3A "
        "violation::Block 4 runs with 1 head where the model has 4; its attention differs by 0.81. "
        "%0AWhat to do: Differentiate the score that the model itself computes."
    ) in lines
    levels = [line.split(" ")[0] for line in lines]
    assert levels == [
        *("::notice", "::error", "::notice", "::warning", "::error", "::notice", "::error")
    ]
    assert not any("P101" in line for line in lines)


def test_github_commands_cannot_be_injected(hostile: Result, result: Result) -> None:
    lines = render_github(hostile).split("\n")
    assert len(lines) == len(render_github(result).split("\n"))
    assert all(re.match(r"::(error|warning|notice) |$", line) for line in lines)
    for line in filter(None, lines):
        properties = line.split(" ", 1)[1].split("::")[0]
        assert {part.split("=")[0] for part in properties.split(",")} <= {"file", "line", "title"}


def test_github_escapes_as_the_runner_unescapes() -> None:
    assert escape_data("50%\r\n::x") == "50%25%0D%0A::x"
    assert escape_property("a:b,c%") == "a%3Ab%2Cc%25"


def test_a_clean_audit_has_no_annotation(make_result: Callable[..., Result]) -> None:
    full = make_result()
    passed = [one for one in full.checks if one.finding.verdict is Verdict.PASS]
    clean = full.model_copy(
        update={"checks": passed, "failures": [], "verdict": "pass", "exit_code": 0}
    )
    assert render_github(clean) == ""
    assert run_of(clean)["results"] == []
    assert 'failures="0" errors="0" skipped="0"' in render_junit(clean)
    assert "<failure" not in render_junit(clean)
