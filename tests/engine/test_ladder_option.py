"""`audit check --ladder FILE`: from the command line to the report."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audit.config.settings import Settings
from audit.config.settings_file import load_settings
from audit.engine.reproduction import command_line


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    """Writes other weights of the tiny model."""

    def write(name, noise):
        weights = Path(tiny_model.removeprefix("local-dir:")) / "open_clip_model.safetensors"
        generator = torch.Generator().manual_seed(2)
        state = {
            n: t + noise * torch.randn(t.shape, generator=generator)
            for n, t in load_file(weights).items()
        }
        save_file(state, tmp_path / name)
        return name

    return write


@pytest.fixture
def audited(check_tiny):
    def run(*words):
        out = check_tiny("gradient", "--format", "json,html", *words, select="P201")
        assert out.exit_code in {0, 3}, out.output
        return json.loads(Path("audit-report/result.json").read_text())

    return run


def test_checkpoints_reach_the_evidence_the_report_and_the_provenance(audited, checkpoint):
    one, two = checkpoint("one,a.safetensors", 0.3), checkpoint("two.safetensors", 0.6)
    result = audited("--ladder", one, "--ladder", two)
    (check,) = result["checks"]
    assert check["finding"]["verdict"] == "inconclusive", check["finding"]["summary"]
    ladder = json.loads(Path("audit-report/evidence/ladder.json").read_text())
    hashes = result["conditions"]["checkpoints"]
    assert [r["name"] for r in ladder["rungs"][1:]] == [f"checkpoint {one}", f"checkpoint {two}"]
    assert {r["sha256"] for r in ladder["rungs"][1:]} == set(hashes.values())
    assert f"--ladder {one} --ladder {two}" in result["conditions"]["command"]
    assert hashes[one] in Path("audit-report/report.html").read_text()


def test_other_weights_in_the_same_file_are_measured_again(audited, checkpoint):
    key = Path("audit-report/evidence/key.json")
    keys = []
    for noise in (0.3, 0.3, 0.6):
        audited("--ladder", checkpoint("one.safetensors", noise))
        keys.append(key.read_text())
    assert keys[0] == keys[1] != keys[2]


def test_what_is_no_checkpoint_of_the_model_is_wrong_usage(check_tiny):
    torch.save({"visual.proj": torch.zeros(2)}, "foreign.pt")
    for word, message in (
        ("gone.pt", "no checkpoint file 'gone.pt'"),
        ("foreign.pt", "another architecture than the model: visual.proj has shape (2,)"),
        ("openai", "expected a checkpoint file"),
    ):
        out = check_tiny("gradient", "--ladder", word)
        assert out.exit_code == 2, out.output
        assert message in " ".join(out.stderr.split())


def test_the_settings_file_takes_one_name_or_a_list(tmp_path):
    for written, read in (('"a,b.pt"', ("a,b.pt",)), ('["a.pt", "b.pt"]', ("a.pt", "b.pt"))):
        (tmp_path / "audit.toml").write_text(f"ladder = {written}\n")
        assert load_settings({}, tmp_path).ladder == read


def test_the_command_repeats_the_ladder():
    settings = Settings(explainer="edges", ladder=("a.pt", "b c.pt"))
    assert command_line(settings) == (
        "audit check --explainer edges --ladder a.pt --ladder 'b c.pt'"
    )
