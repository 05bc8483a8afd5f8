"""The result as JSON: written alike, read back, described by its schema, old ones included."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from audit.reports.formats import FORMATS
from audit.reports.html import render_html
from audit.result import document as report_json
from audit.result.document import (
    ResultFormatError,
    json_schema,
    load_result,
    read_result,
    render_json,
)
from audit.result.figures import Point, ScatterFigure, Series
from audit.result.numbers import Statistic
from audit.result.schema import SCHEMA_VERSION, Result
from audit.result.shown_pairs import pairs_shown

GOLDEN = Path(__file__).parents[1] / "reports" / "golden"


@pytest.mark.parametrize("name", ["result", "hostile"])
def test_round_trip(name: str, request: pytest.FixtureRequest) -> None:
    one: Result = request.getfixturevalue(name)
    text = render_json(one)
    assert text.isascii()
    assert load_result(text) == one
    assert render_json(load_result(text)) == text


def test_same_result_gives_same_bytes_whatever_the_order_of_mappings(result: Result) -> None:
    timing = result.timing
    turned = dict(reversed(timing.gathering.items()))
    other = result.model_copy(update={"timing": timing.model_copy(update={"gathering": turned})})
    assert list(other.timing.gathering) != list(timing.gathering)
    assert render_json(other) == render_json(result)


def test_verdict_stands_first_and_numbers_share_a_line(result: Result) -> None:
    lines = render_json(result).splitlines()
    assert lines[1] == f' "schema_version": {SCHEMA_VERSION},'
    assert lines[2] == ' "verdict": "violation",'
    assert max(line.count(",") for line in lines) >= 11
    assert len(lines) < 5000


def test_a_result_from_before_p_values_is_read(result: Result) -> None:
    document = json.loads(render_json(result))
    for check in document["checks"]:
        for statistic in check["finding"]["statistics"]:
            for name in ("p", "p_test", "p_adjusted"):
                del statistic[name]
    old = load_result(json.dumps(document))
    assert all(s.p is None for c in old.checks for s in c.finding.statistics)
    assert [c.finding.verdict for c in old.checks] == [c.finding.verdict for c in result.checks]


def test_what_is_not_finite_is_null(result: Result) -> None:
    point = Point.model_construct(x=float("nan"), y=float("inf"), label="")
    series = Series.model_construct(name="", points=[point])
    figure = ScatterFigure.model_construct(
        title="", caption="", x_label="", y_label="", series=[series]
    )
    first = result.checks[0]
    finding = first.finding.model_copy(update={"figures": [figure]})
    check = first.model_copy(update={"finding": finding})
    document = json.loads(render_json(result.model_copy(update={"checks": [check]})))
    (written,) = document["checks"][0]["finding"]["figures"][0]["series"][0]["points"]
    assert written == {
        "x": None,
        "y": None,
        "x_interval": None,
        "y_interval": None,
        "label": "",
    }


@pytest.mark.parametrize("name", ["result", "hostile"])
def test_published_schema_describes_the_document(name: str, request: pytest.FixtureRequest) -> None:
    schema = json_schema()
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    validator(schema).validate(json.loads(render_json(request.getfixturevalue(name))))


def test_the_schema_is_published_by_every_audit_that_is_asked_for_it(result: Result) -> None:
    published = json.loads(FORMATS["schema"].render(result))
    assert published == json_schema()
    assert published["$id"].endswith(f":{SCHEMA_VERSION}")
    jsonschema.validate(json.loads(FORMATS["json"].render(result)), published)


def test_published_schema_refuses_another_document(result: Result) -> None:
    document = json.loads(render_json(result))
    document["verdict"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())


def test_schema_describes_the_golden_document_of_its_version() -> None:
    document = json.loads((GOLDEN / f"result_v{SCHEMA_VERSION}.json").read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(document)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("result_v*.json")), ids=lambda path: path.stem)
def test_old_results_load_and_render(path: Path) -> None:
    old = load_result(path.read_text(encoding="utf-8"))
    assert old.schema_version == SCHEMA_VERSION
    assert [check.id for check in old.checks][:3] == ["P101", "P102", "P103"]
    assert old.headline.strip() in render_html(old)


def test_version_1_loses_nothing_on_its_way() -> None:
    text = (GOLDEN / "result_v1.json").read_text(encoding="utf-8")
    before, now = json.loads(text), load_result(text)
    assert now.timing.started == before["conditions"]["started"]
    assert now.timing.gathering == before["conditions"]["seconds"]
    assert now.timing.judging == {check["id"]: check["seconds"] for check in before["checks"]}
    assert [e.model_dump(exclude_unset=True) for e in now.equivalences] == before["relatives"]
    figures = [f for check in before["checks"] for f in check["finding"]["figures"]]
    old = [f["picture"] for f in (*figures, *before["gallery"]) if f["kind"] == "pair"]
    assert pairs_shown(now.checks, now.gallery) == list(dict.fromkeys(p["pair"] for p in old))
    for picture in old:
        shown = now.shown_pairs[picture["pair"]]
        assert (shown.text, shown.mask) == (picture["text"], picture["mask"])
        assert now.pictures[shown.picture] == picture["png"]
    assert len(now.pictures) == len({picture["png"] for picture in old})


@pytest.mark.parametrize(
    "part",
    [
        {"checks": None},
        {"checks": [{"id": [], "seconds": 1, "finding": {"figures": [{"picture": 3}]}}]},
        {"gallery": [{"picture": {"pair": [], "text": "t"}}]},
        {"gallery": [{"kind": "pair", "picture": {"pair": "p", "text": "t", "png": ["x"]}}]},
        {"conditions": []},
        {"relatives": 3},
    ],
)
def test_what_is_no_result_of_version_1_is_refused_with_reason(part: dict[str, object]) -> None:
    document = json.loads((GOLDEN / "result_v1.json").read_text(encoding="utf-8"))
    with pytest.raises(ResultFormatError, match="expected a result of schema version"):
        load_result(json.dumps({**document, **part}))


def test_a_picture_without_pixels_gives_way_to_one_with() -> None:
    document = json.loads((GOLDEN / "result_v1.json").read_text(encoding="utf-8"))
    figure, mask = document["gallery"][0], [[1.0]]
    bare = {**figure, "picture": {"pair": "new", "text": "t", "png": ""}}
    whole = {**figure, "picture": {"pair": "new", "text": "t", "png": "aGVsbG8=", "mask": mask}}
    for gallery in ([bare], [bare, whole], [whole, bare]):
        found = load_result(json.dumps({**document, "gallery": gallery})).shown_pairs["new"]
        assert found.mask == (mask if whole in gallery else None)
        assert (found.picture is None) == (whole not in gallery)


def test_migrations_run_in_turn(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    older = json.loads(render_json(result))
    older["title"] = older.pop("headline")
    monkeypatch.setattr(report_json, "SCHEMA_VERSION", SCHEMA_VERSION + 1)

    def renamed(document: dict[str, object]) -> dict[str, object]:
        headline = document.pop("title")
        return {**document, "headline": headline}

    monkeypatch.setattr(report_json, "MIGRATIONS", {SCHEMA_VERSION: renamed})
    assert load_result(json.dumps(older)).headline == result.headline


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ('{"a":' * 100_000, "this is no JSON"),
        ("[]", "found list"),
        ("{}", "found None; was this file written by"),
        ('{"schema_version": true}', "found True"),
        ('{"schema_version": 999}', "schema version 999; this audit reads versions 1 to"),
        ('{"schema_version": 1}', "verdict: Field required"),
    ],
)
def test_what_is_no_result_is_refused_with_reason(text: str, message: str) -> None:
    with pytest.raises(ResultFormatError, match=r"expected|upgrade") as caught:
        load_result(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_unknown_fields_are_named(result: Result) -> None:
    document = json.loads(render_json(result))
    document["data"]["colour"] = "red"
    with pytest.raises(ResultFormatError, match=r"data\.colour: Extra inputs"):
        load_result(json.dumps(document))


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"[]", b""])
def test_a_file_that_holds_no_result_is_named(tmp_path, content):
    path = tmp_path / "no.json"
    path.write_bytes(content)
    with pytest.raises(ResultFormatError) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"'{path}': expected a result")


def test_the_least_numbers_stay(result):
    smallest = Statistic(name="n", value=5e-324, threshold=-5e-324)
    checks = [
        c.model_copy(update={"finding": c.finding.model_copy(update={"statistics": [smallest]})})
        for c in result.checks
    ]
    again = load_result(render_json(result.model_copy(update={"checks": checks})))
    assert again.checks[0].finding.statistics == [smallest]
