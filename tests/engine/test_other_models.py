"""`audit check --ladder MODEL`: another model beside the one under audit, shown and not judged."""

import copy
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import TINY

DETERMINED = """\
def explain(model, images, tokens):
    if len(model.visual.transformer.resblocks) == 1:
        raise RuntimeError("needs two blocks")
    images = images.clone().requires_grad_(True)
    image, text, _ = model(images, tokens)
    image, text = (x / x.norm(dim=-1, keepdim=True) for x in (image, text))
    (grad,) = __import__("torch").autograd.grad((image * text).sum(), images)
    return grad.abs().amax(1)
"""


@pytest.fixture
def other(tmp_path):
    """Writes a model of another architecture; its name as an option takes it."""

    def write(name, layers=3, side=32, patch=8):
        config = copy.deepcopy(TINY)
        config["model_cfg"]["vision_cfg"] |= {
            "layers": layers, "image_size": side, "patch_size": patch,
        }  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            state = open_clip.CLIP(**config["model_cfg"]).state_dict()
        save_file(
            {n: t.contiguous() for n, t in state.items()}, folder / "open_clip_model.safetensors"
        )
        return f"local-dir:{name}"

    return write


@pytest.fixture
def finding(check_tiny):
    def run(*words, explainer="gradient", select="P201"):
        out = check_tiny(explainer, "--format", "json,html", *words, select=select)
        assert out.exit_code in {0, 3}, out.output
        result = json.loads(Path("audit-report/result.json").read_text())
        return result, result["checks"][0]["finding"]

    return run


def beside(found):
    return {
        figure["y_label"]: figure
        for figure in found["figures"]
        if figure["title"].startswith("Other models")
    }


def test_another_model_is_measured_as_in_an_audit_of_its_own(finding, other, command):
    source = other("larger")
    plain, alone = finding()
    result, found = finding("--ladder", source)
    assert not beside(alone)
    for key in ("verdict", "summary", "statistics"):
        assert found[key] == alone[key]
    assert found["figures"][: len(alone["figures"])] == alone["figures"]
    assert source in result["conditions"]["checkpoints"]
    page = Path("audit-report/report.html").read_text()
    assert "Other models: map quality by localization" in page
    own = command(
        "check", "-e", "gradient", "--model", source, "--profile", "quick", "--samples", "4",
        "--select", "P202", "--format", "json", "--out", "own",
    )  # fmt: skip
    assert own.exit_code in {0, 3}, own.output
    expected = json.loads(Path("own/result.json").read_text())
    quality = [pair["values"]["average precision"] for pair in expected["pair_quality"]]
    (ours, *controls) = beside(found)["localization"]["series"]
    assert [point["label"] for point in ours["points"]][1:] == [source]
    assert ours["points"][1]["y"] == pytest.approx(np.mean(quality))
    assert ours["points"][1]["x"] == expected["data"]["zero_shot_accuracy"]
    assert ours["points"][0]["x"] == plain["data"]["zero_shot_accuracy"]
    assert all(len(series["points"]) == 2 for series in controls)
    assert not ours["control"]
    assert all(series["control"] for series in controls)


def test_an_explainer_that_raises_on_another_model_is_told_of_and_no_failure(finding, other):
    Path("own.py").write_text(DETERMINED)
    words = ["--ladder", other("one", layers=1), "--ladder", other("larger")]
    result, found = finding(*words, explainer="own.py:explain")
    assert result["failures"] == []
    (said,) = [line for line in found["detail"] if "needs two blocks" in line]
    assert said.startswith("On local-dir:one the maps could not be measured: RuntimeError")
    labels = [p["label"] for p in beside(found)["localization"]["series"][0]["points"]]
    assert labels[1:] == ["local-dir:larger"]


def test_a_model_that_memory_holds_few_pairs_of_is_measured_in_smaller_batches(finding, other):
    hungry = DETERMINED.replace("== 1:", "== 3 and len(images) > 2:")
    hungry = hungry.replace("RuntimeError(", "MemoryError(")
    Path("own.py").write_text(hungry)
    words = ["--ladder", other("larger")]
    result, found = finding(*words, explainer="own.py:explain")
    assert result["failures"] == []
    assert not [line for line in found["detail"] if "could not be measured" in line]
    labels = [p["label"] for p in beside(found)["localization"]["series"][0]["points"]]
    assert labels[1:] == ["local-dir:larger"]
    assert "Memory did not hold" not in " ".join(result["notes"])


def test_weights_and_models_go_together_and_looks_measure_models_once(
    finding, other, command, tiny_model
):
    source, small = other("larger"), ["--profile", "quick", "--select", "P201", "--format", "json"]
    out = command(
        "check", "-e", "gradient", "--model", tiny_model, "--samples", "auto", "--budget", "12",
        "--ladder", source, *small,
    )  # fmt: skip
    assert out.exit_code in {0, 3}, out.output
    (check,) = json.loads(Path("audit-report/result.json").read_text())["checks"]
    series = beside(check["finding"])["localization"]["series"]
    assert {len(one["points"]) for one in series} == {2}


def test_what_is_no_other_model_is_wrong_usage(check_tiny, tiny_model, other):
    source = other("larger")
    for words, message in (
        (["ViT-B-32"], "give ViT-B-32:TAG with a tag of open_clip, or ViT-B-32:FILE"),
        (["ViT-B-32:gone.pt"], "no checkpoint file 'gone.pt'"),
        (["local-dir:gone"], "expected open_clip_config.json in the folder 'gone'"),
        ([tiny_model], "has the same weights as the model under audit"),
        ([source, source], f"has the same weights as '{source}'"),
    ):
        out = check_tiny("gradient", *(w for word in words for w in ("--ladder", word)))
        assert out.exit_code == 2, out.output
        assert message in " ".join(out.stderr.split())
