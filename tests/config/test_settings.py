"""Settings: where they come from, what takes precedence, and what a slip is told."""

import json
import tomllib

import jsonschema
import pytest

from audit.config.settings import Settings, SettingsError
from audit.config.settings_file import load_settings, settings_schema
from audit.config.waivers import WaiverError
from audit.engine.project_start import settings_text


def write(folder, text, name="audit.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_defaults_without_a_file(tmp_path):
    assert load_settings({}, tmp_path) == Settings()


def test_command_line_beats_file_beats_default(tmp_path):
    write(tmp_path, 'explainer = "gradient"\nsamples = 7\nseed = 3\n')
    settings = load_settings({"samples": 9, "seed": None}, tmp_path)
    assert (settings.explainer, settings.samples, settings.seed) == ("gradient", 9, 3)


def test_audit_toml_beats_pyproject(tmp_path):
    write(tmp_path, "[tool.audit]\nsamples = 5\n", "pyproject.toml")
    assert load_settings({}, tmp_path).samples == 5
    write(tmp_path, "samples = 6\n")
    assert load_settings({}, tmp_path).samples == 6


def test_a_quick_audit_looks_at_fewer_pairs_unless_told(tmp_path):
    usual, quick = Settings(), load_settings({"profile": "quick"}, tmp_path)
    assert (usual.samples, quick.samples) == (192, 48)
    assert Settings(profile="full").samples == usual.samples
    assert load_settings({"profile": "quick", "samples": 192}, tmp_path).samples == 192
    write(tmp_path, 'profile = "quick"\nsamples = 7\n')
    assert load_settings({}, tmp_path).samples == 7


def test_pyproject_of_others_is_no_audit(tmp_path):
    write(tmp_path, "[tool.other]\nsamples = 5\n", "pyproject.toml")
    assert load_settings({}, tmp_path) == Settings()


def test_tables_are_merged_key_by_key(tmp_path):
    write(tmp_path, '[severity]\nP201 = "warning"\nP204 = "warning"\n')
    merged = load_settings({"severity": {"P204": "error"}}, tmp_path).severity
    assert merged == {"P201": "warning", "P204": "error"}


def test_values_that_people_write(tmp_path):
    write(
        tmp_path,
        'formats = "html, sarif"\nfail-on = "violation"\npretrained = ""\n'
        '[severity]\nP201 = "warn"\n[options]\nblock = 3\nexact = true\nweight = "raw"\n',
    )
    settings = load_settings({}, tmp_path)
    assert settings.formats == ("html", "sarif")
    assert settings.fail_on == "error"
    assert settings.pretrained is None
    assert settings.severity == {"P201": "warning"}
    assert settings.options == {"block": "3", "exact": "true", "weight": "raw"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sample = 5", ["unknown setting 'sample'", "did you mean 'samples'?", "audit.toml"]),
        ("samples = 0", ["audit.toml", "'samples'", "greater than or equal to 1", "got 0"]),
        ('dtype = "float8"', ["'dtype'", "'float32'", "got 'float8'"]),
        ("samples = ", ["audit.toml", "not valid TOML"]),
        ('severity = "error"', ["'severity'", "dictionary"]),
        ("[severity]\nP104 = 3", ["'severity.P104'", "got 3"]),
    ],
)
def test_slips_in_the_file(tmp_path, text, words):
    with pytest.raises(SettingsError) as caught:
        load_settings({}, write(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "audit.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings({}, tmp_path)


def test_slip_on_the_command_line_does_not_blame_the_file(tmp_path):
    write(tmp_path, "seed = 1")
    with pytest.raises(SettingsError) as caught:
        load_settings({"samples": -1}, tmp_path)
    assert "audit.toml" not in str(caught.value)


def test_waivers_in_the_file(tmp_path):
    write(
        tmp_path,
        '[[waivers]]\ncheck = "P104"\nreason = "known"\nowner = "we"\nexpires = 2030-01-31\n',
    )
    (waiver,) = load_settings({}, tmp_path).waivers
    assert (waiver.check, waiver.expires.isoformat()) == ("P104", "2030-01-31")


def test_waivers_that_lack_something(tmp_path):
    write(tmp_path, '[[waivers]]\ncheck = "P104"\nowner = "we"\nexpires = 2030-01-31\n')
    with pytest.raises(WaiverError, match="waiver 1: 'reason': field required"):
        load_settings({}, tmp_path)


def test_file_of_waivers_on_the_command_line_beats_the_list(tmp_path):
    write(
        tmp_path,
        '[[waivers]]\ncheck = "P104"\nreason = "known"\nowner = "we"\nexpires = 2030-01-31\n',
    )
    assert load_settings({"waivers": "w.toml"}, tmp_path).waivers == "w.toml"


def test_schema_accepts_what_loads_and_refuses_slips():
    schema = settings_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    shown = json.loads(Settings(explainer="gradient").model_dump_json())
    validator.validate(shown)
    assert not validator.is_valid({"sample": 5})
    assert not validator.is_valid({"samples": 0})
    waiver = {"check": "P104", "reason": "r", "owner": "o", "expires": "2030-01-31"}
    assert validator.is_valid({"waivers": [waiver]})
    assert not validator.is_valid({"waivers": [{**waiver, "until": "2030-01-31"}]})


def test_schema_accepts_every_way_of_writing(tmp_path):
    text = (
        'formats = "html, sarif"\nfail-on = "violation"\npretrained = ""\nselect = ["P1"]\n'
        '[severity]\nP201 = "warn"\n[options]\nblock = 3\nexact = true\nweight = "raw"\n'
    )
    load_settings({}, write(tmp_path, text))
    validator = jsonschema.Draft202012Validator(settings_schema())
    validator.validate(tomllib.loads(text))
    validator.validate(tomllib.loads(settings_text("grad-eclip")))
    for slip in ({"fail-on": "never"}, {"severity": {"P1": "high"}}, {"formats": [3]}):
        assert not validator.is_valid(slip)


def test_a_table_that_is_none(tmp_path):
    write(tmp_path, "[tool]\naudit = 3\n", "pyproject.toml")
    with pytest.raises(SettingsError, match=r"expected a table \[tool.audit\], found 3"):
        load_settings({}, tmp_path)


def test_every_setting_is_described():
    properties = settings_schema()["properties"]
    assert {name.replace("-", "_") for name in properties} == set(Settings.model_fields)
    assert all(one.get("description") for one in properties.values())
