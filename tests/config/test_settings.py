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
        ('template = "a photo"', ["'template'", "one {} in the place of the class", "'a photo'"]),
        ('template = "a {} and {}"', ["one {} in the place of the class"]),
        ('template = "a {x} and {}"', ["one {} in the place of the class"]),
        ('template = "a {0}"', ["one {} in the place of the class"]),
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
    with pytest.raises(SettingsError, match=r"expected a table \[tool.audit\], found audit = 3"):
        load_settings({}, tmp_path)


def test_every_setting_is_described():
    properties = settings_schema()["properties"]
    assert {name.replace("-", "_") for name in properties} == set(Settings.model_fields)
    assert all(one.get("description") for one in properties.values())


def test_settings_of_a_folder_above_are_found_with_their_paths_and_told(tmp_path):
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "photos").mkdir()
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "docs" / "examples"
    inner.mkdir(parents=True)
    write(
        tmp_path,
        'explainer = "mine.py:f"\nbaseline = "old.json"\ndata = "photos"\nsamples = 5\n'
        'model = "local-dir:clip"\nladder = ["RN50:openai"]\n',
    )
    settings = load_settings({}, inner)
    assert (settings.explainer, settings.baseline) == ("../../mine.py:f", "../../old.json")
    assert (settings.data, settings.model) == ("../../photos", "local-dir:../../clip")
    assert (settings.ladder, settings.samples) == (("RN50:openai",), 5)
    assert any("settings of" in note and "audit.toml" in note for note in settings.notes)
    assert load_settings({}, tmp_path).explainer == "mine.py:f"
    assert not load_settings({}, tmp_path).notes


def test_the_nearest_folder_counts_and_none_above_the_repository(tmp_path):
    inner = tmp_path / "repository" / "docs"
    inner.mkdir(parents=True)
    write(tmp_path, "samples = 5\n")
    assert load_settings({}, inner).samples == 5
    (tmp_path / "repository" / ".git").mkdir()
    assert load_settings({}, inner).samples == Settings().samples
    write(tmp_path / "repository", "samples = 6\n")
    assert load_settings({}, inner).samples == 6
    write(inner, "samples = 7\n")
    assert load_settings({}, inner).samples == 7


def test_a_strangers_file_above_names_no_code(tmp_path, monkeypatch):
    inner = tmp_path / "mine"
    inner.mkdir()
    write(tmp_path, 'explainer = "theirs.py:f"\n')
    theirs = tmp_path / "audit.toml"
    stat = type(theirs).stat

    def owned(path, **how):
        found = stat(path, **how)
        if path != theirs:
            return found
        return type(found)((*found[:4], found.st_uid + 1, *found[5:10]))

    monkeypatch.setattr(type(theirs), "stat", owned)
    assert load_settings({}, inner).explainer == ""


def test_two_files_in_one_folder_are_told(tmp_path):
    write(tmp_path, "samples = 6\n")
    write(tmp_path, "[tool.audit]\nstrict = true\n", "pyproject.toml")
    settings = load_settings({}, tmp_path)
    assert (settings.samples, settings.strict) == (6, False)
    (note,) = settings.notes
    assert "audit.toml: these settings are used, not those of" in note
    assert note.endswith("pyproject.toml")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"budget": 100}, "budget"),
        ({"template": "a drawing of a {}."}, "template"),
        ({"allow_outside": True}, "allow_outside"),
        ({"allow_download": True}, "allow_download"),
        ({"reuse": True, "resume": False}, "reuse"),
        ({"from_evidence": "folder", "samples": 7}, "samples"),
    ],
)
def test_a_setting_without_effect_is_told(tmp_path, given, name):
    (note,) = load_settings(given, tmp_path).notes
    assert note.startswith(f"setting '{name}' has no effect: ")


@pytest.mark.parametrize(
    "given",
    [
        {"budget": 100, "samples": "auto"},
        {"template": "a drawing of a {}.", "data": "photos.csv", "allow_outside": True},
        {"allow_download": True, "model": "ViT-B-16"},
        {"reuse": True},
        {"from_evidence": "folder", "strict": True},
    ],
)
def test_a_setting_with_effect_is_not(tmp_path, given):
    assert not load_settings(given, tmp_path).notes
