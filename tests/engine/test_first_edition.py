"""What the first edition (0.1.0) wrote or documented is read, and former names say so.

``tests/golden/first_edition`` holds what commit e89789c wrote: ``started.toml`` by ``audit init``,
``result.json`` by ``audit check --explainer grad-eclip --profile quick --samples 6`` on the tiny
model. ``used.toml`` and ``waivers.toml`` use every form that its documentation shows, with all
limits at their defaults of then; ``plugin`` is its documentation's example of a check.
"""

import importlib
import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from audit import former_names
from audit.config.settings import Settings
from audit.config.settings_file import load_settings
from audit.engine.gate_inputs import load_gate
from audit.judging.selection import selected_checks
from audit.result.document import load_result
from audit.result.finding import Verdict
from principles.catalogue import all_checks

FIRST = Path(__file__).parents[1] / "golden" / "first_edition"
NOTE = "explainer 'centre-prior' is now called 'center-prior'; the former name still works."


@pytest.fixture(scope="module")
def old():
    return load_result((FIRST / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def settings_of(tmp_path):
    def load(name, **given):
        shutil.copy(FIRST / name, tmp_path / "audit.toml")
        return load_settings(given, tmp_path)

    return load


def gate_of(**settings):
    return load_gate(Settings(**settings), all_checks(), date(2026, 11, 1))


def test_settings_that_init_wrote(settings_of):
    settings = settings_of("started.toml")
    assert settings == Settings(explainer="grad-eclip")
    assert settings.notes == ()


def test_every_line_that_init_wrote_works_when_uncommented(settings_of, tmp_path):
    lines = (FIRST / "started.toml").read_text(encoding="utf-8").splitlines()
    bare = [line.removeprefix("# ") for line in lines]
    kept = [line for line in bare if " = " in line or line.startswith("[")]
    (tmp_path / "audit.toml").write_text("\n".join(kept))
    settings = load_settings({}, tmp_path)
    assert len(settings.waivers) == 1
    assert selected_checks(settings)


def test_settings_that_people_wrote(settings_of):
    settings = settings_of("used.toml")
    assert settings.explainer == "center-prior"
    assert NOTE in settings.notes
    assert all("is now called" in note for note in settings.notes)
    assert [check.id for check in selected_checks(settings)] == [
        check.id for check in all_checks() if check.id != "P206"
    ]
    gate = load_gate(settings, all_checks(), date(2026, 11, 1))
    assert [waiver.explainer for waiver in gate.waivers] == ["center-prior"]


def test_waivers(old):
    gate = gate_of(waivers=str(FIRST / "waivers.toml"))
    checks, notes = gate.applied(old.checks, explainer="grad-eclip", model=old.model, data="d")
    assert [check.id for check in checks if check.waiver] == ["P104"]
    assert f"waivers: {NOTE}" in notes
    checks, _ = gate.applied(old.checks, explainer="center-prior", model=old.model, data="d")
    assert [check.id for check in checks if check.waiver] == ["P104", "P105"]


def test_baseline(old):
    assert len(old.checks) == 15
    gate = gate_of(baseline=str(FIRST / "result.json"))
    same = {"model": old.model, "data": old.data.sha256}
    checks, _ = gate.applied(old.checks, explainer="grad-eclip", **same)
    violated = [c for c in checks if c.finding.verdict is Verdict.VIOLATION]
    assert {c.id for c in violated} >= {"P104", "P105"}
    assert not any(c.is_new for c in violated)


def test_an_audit_against_the_baseline_with_waivers(check_tiny):
    accepted = ["--baseline", FIRST / "result.json"]
    assert check_tiny("grad-eclip", *accepted, select="P104,P105").exit_code == 0
    assert check_tiny("grad-eclip", select="P104").exit_code == 1
    waived = check_tiny("grad-eclip", "--waivers", FIRST / "waivers.toml", select="P104")
    assert waived.exit_code == 0, waived.output


def test_result_is_rendered_and_compared(command):
    done = command("report", FIRST / "result.json", "--format", "html,sarif,junit", "--out", "r")
    assert done.exit_code == 0, done.output
    assert "grad-eclip" in Path("r", "report.html").read_text(encoding="utf-8")
    same = command("compare", FIRST / "result.json", FIRST / "result.json")
    assert same.exit_code == 0, same.output


def test_history_of_a_former_name_is_that_of_the_present_one(command, old, tmp_path):
    former = old.model_copy(
        update={"explainer": old.explainer.model_copy(update={"name": "centre-prior"})}
    )
    Path("old.json").write_text(former.model_dump_json())
    assert command("history", "--add", "old.json").exit_code == 0
    for name in ("center-prior", "centre-prior"):
        shown = command("history", "--explainer", name)
        assert "center-prior, local-dir:tiny-model" in shown.output
    assert "no audits of 'edges'" in command("history", "--explainer", "edges").output


@pytest.mark.parametrize("name", ["centre-prior", "inverted:centre-prior"])
def test_a_former_name_says_so_in_terminal_and_result(check_tiny, name):
    done = check_tiny(name, select="P101")
    assert done.exit_code == 0, done.output
    assert f"audit: note: {NOTE}" in done.stderr
    result = json.loads(Path("audit-report", "result.json").read_text(encoding="utf-8"))
    assert NOTE in result["notes"]
    assert result["explainer"]["name"] == name.replace("centre", "center")
    assert "center-prior" in result["conditions"]["command"]


def test_a_former_name_says_so_in_other_commands(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "2"]
    done = command("equivalence", "center-prior", "centre-prior", *words)
    assert done.exit_code == 0, done.output
    assert done.stderr.count(NOTE) == 1


def test_renamed_settings_checks_and_limits(tmp_path, monkeypatch):
    former = {
        "setting": {"pairs": "samples"},
        "explainer": {},
        "check": {"P150": "P104"},
        "limit": {"P201.rho": "P201.clear"},
    }
    monkeypatch.setattr(former_names, "FORMER", former)
    (tmp_path / "audit.toml").write_text(
        'pairs = 7\nselect = ["p150", "P201"]\n[severity]\nP150 = "warning"\n'
        "[thresholds]\nP201 = { rho = 0.6 }\n"
    )
    settings = load_settings({"ignore": ("P150",)}, tmp_path)
    assert (settings.samples, settings.select, settings.ignore) == (7, ("P104", "P201"), ("P104",))
    assert settings.severity == {"P104": "warning"}
    assert settings.thresholds == {"P201": {"clear": 0.6}}
    said = " ".join(settings.notes)
    for kind, name, now in (
        ("setting", "pairs", "samples"),
        ("check", "p150", "P104"),
        ("limit", "P201.rho", "P201.clear"),
    ):
        assert f"{kind} '{name}' is now called '{now}'" in said


def test_where_both_names_are_given_the_present_one_counts(monkeypatch):
    monkeypatch.setattr(former_names, "FORMER", {"setting": {"pairs": "samples"}})
    table, notes = former_names.present_keys("setting", {"samples": 3, "pairs": 7})
    assert table == {"samples": 3}
    assert len(notes) == 1


def test_every_former_name_leads_to_one_that_exists():
    from audit.explainers.registry import list_explainers

    known = {
        "setting": set(Settings.model_fields),
        "explainer": {one.name for one in list_explainers()},
        "check": {check.id for check in all_checks()},
        "limit": {f"{c.id}.{name}" for c in all_checks() for name in c.thresholds},
    }
    for kind, table in former_names.FORMER.items():
        assert set(table.values()) <= known[kind]
        assert not set(table) & known[kind]


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example of the first edition's documentation, as pip would have installed it."""
    shutil.copy(FIRST / "plugin" / "sharp.py", tmp_path)
    info = tmp_path / "sharp-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sharp\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[audit.checks]\nP190 = sharp:CHECK\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    all_checks.cache_clear()
    yield
    all_checks.cache_clear()


def test_a_check_of_a_plugin(check_tiny, command, plugin):
    assert "Does every map single out a place?" in command("explain", "P190").output
    done = check_tiny("grad-attention", select="P190")
    assert done.exit_code == 0, done.output
    (check,) = load_result(Path("audit-report", "result.json").read_text("utf-8")).checks
    assert (check.id, check.finding.verdict) == ("P190", Verdict.PASS)
    strict = check_tiny("grad-attention", "--threshold", "P190.spread=9", select="P190")
    assert strict.exit_code == 1
