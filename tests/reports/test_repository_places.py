"""Annotations point only to files that the user's repository holds, by their path in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from audit.reports.github import render_github
from audit.reports.junit import render_junit
from audit.reports.repository_places import places_elsewhere, places_in_repository
from audit.reports.sarif import render_sarif
from audit.result.finding import Location, Verdict
from audit.result.schema import Result

OUTSIDE = (
    "audit/explainers/eclip.py",
    "principles/check.py",
    "/srv/elsewhere.py",
    "C:\\work\\explainer.py",
    "../neighbor.py",
    ".venv/lib/python3.12/site-packages/captum/attr.py",
    "<stdin>",
)


def placed(result: Result, *files: str, own: str | None = None, folder: str = "") -> Result:
    """A result whose P105 points to files, and whose explainer lies in a file of its own."""
    places = [Location(file=file, line=7 + n) for n, file in enumerate(files)]
    checks = [
        check.model_copy(update={"finding": check.finding.model_copy(update={"locations": places})})
        for check in result.checks
        if check.id == "P105"
    ]
    explainer = result.explainer.model_copy(update={"source_file": own, "source_line": 3})
    conditions = result.conditions.model_copy(update={"folder": folder})
    update = {"checks": checks, "explainer": explainer, "conditions": conditions, "failures": []}
    return result.model_copy(update=update)


def uris(result: Result) -> list[str]:
    """Files of the SARIF results."""
    (run,) = json.loads(render_sarif(result))["runs"]
    found = [one["locations"] + one["relatedLocations"] for one in run["results"]]
    places = [place["physicalLocation"] for one in found for place in one]
    return [place["artifactLocation"]["uri"] for place in places]


@pytest.mark.parametrize("file", OUTSIDE)
def test_a_file_outside_gets_no_annotation(file: str, result: Result) -> None:
    found = placed(result, file, own=file)
    (line,) = render_github(found).splitlines()
    assert line.startswith("::notice title=P105 ")
    assert f" At {file}:7.%0AWhat to do: " in line
    assert uris(found) == []
    assert places_elsewhere(found.checks[0]) == found.checks[0].finding.locations


@pytest.mark.parametrize("file", ["ours.py", "audit/ours.py", "explainers/a b.py"])
def test_a_file_of_the_repository_is_annotated(file: str, result: Result) -> None:
    (line,) = render_github(placed(result, file)).splitlines()
    assert line.startswith(f"::notice file={file},line=7,title=P105 ")
    assert " At " not in line


def test_the_explainer_stands_in_for_a_place_outside(result: Result) -> None:
    found = placed(result, "/srv/library.py", own="ours.py")
    assert places_in_repository(found.checks[0], found) == [Location(file="ours.py", line=3)]
    assert "file=ours.py,line=3," in render_github(found)


def test_places_outside_are_left_out_beside_one_inside(result: Result) -> None:
    assert uris(placed(result, "/srv/library.py", "ours.py", "theirs.py")) == [
        "ours.py",
        "theirs.py",
    ]


def test_paths_are_those_from_the_root_of_the_repository(result: Result) -> None:
    found = placed(result, "ours.py", folder="tools/maps/")
    assert re.match("::notice file=tools/maps/ours.py,line=7,", render_github(found))
    assert uris(found) == ["tools/maps/ours.py"]


def test_inconclusive_checks_are_one_note(make_result: Callable[..., Result]) -> None:
    full = make_result()
    one = next(c for c in full.checks if c.finding.verdict.value == "inconclusive")
    several = [one, one.model_copy(update={"id": "P203"}), one.model_copy(update={"id": "P206"})]
    found = full.model_copy(update={"checks": several, "failures": []})
    (line,) = render_github(found).splitlines()
    assert line.startswith("::notice title=3 checks without a verdict::P202 ")
    assert all(f"{name} " in line for name in ("P202", "P203", "P206"))
    (run,) = json.loads(render_sarif(found))["runs"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["level"] == "note"
    assert render_github(strictly(found)).startswith("::notice title=3 ")  # they are warnings
    failing = strictly(found, fail_on="warning")
    assert render_github(failing).startswith("::error title=3 checks without a verdict::")
    assert 'failures="3"' in render_junit(failing)
    assert 'failures="0"' in render_junit(found)


def strictly(result: Result, **more: str) -> Result:
    settings = {**result.conditions.settings, "strict": "True", **more}
    conditions = result.conditions.model_copy(update={"settings": settings})
    return result.model_copy(update={"conditions": conditions})


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE])
def test_a_required_check_without_a_verdict_is_an_error(
    make_result: Callable[..., Result], verdict: Verdict
) -> None:
    full = make_result()
    finding = full.checks[0].finding.model_copy(update={"verdict": verdict})
    silent = full.checks[0].model_copy(update={"finding": finding, "waiver": None})
    for required in (False, True):
        checks = [silent.model_copy(update={"required": required})]
        found = full.model_copy(update={"checks": checks, "failures": []})
        assert ("::error title=1 check without" in render_github(found)) is required
        assert f'failures="{int(required)}"' in render_junit(found)
