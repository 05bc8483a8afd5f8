"""``audit doctor`` and the list of models."""

import json

import pytest
import torch

from audit.engine import model_diagnosis
from audit.models.loading import load_model
from tests.conftest import TINY


def lines(output):
    return {line[:14].strip(): line[14:].strip() for line in output.splitlines()}


def test_a_known_model(command, tiny_model):
    done = command("doctor", "--model", tiny_model)
    assert done.exit_code == 0, done.output
    told = lines(done.output)
    assert told["inside"] == "full anatomy: 2 image blocks of 4 heads, 1 text blocks of 2 heads"
    assert told["maps"] == "are compared on 4×4 cells of 24 pixels"
    assert told["masks"] == "a box on a quarter of the picture covers 25% of the input"
    assert told["score"].startswith("cosine ")
    assert told["gradient"].startswith("gives a map of 4×4 in ")
    assert "ms for one picture" in told["time"]
    assert "GiB" in told["memory"]
    assert "'audit plan'" in told["an audit"]


def test_a_text_tower_whose_inside_is_not_known(command, tmp_path):
    text = {**TINY["model_cfg"]["text_cfg"], "embed_cls": True}
    config = {**TINY["model_cfg"], "text_cfg": text, "custom_text": True}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({**TINY, "model_cfg": config}))
    done = command("doctor", "--model", f"local-dir:{tmp_path}", "--pretrained", "random")
    assert done.exit_code == 0, done.output
    assert lines(done.output)["inside"] == "full anatomy: 2 image blocks of 4 heads"
    assert "the text tower is computed as a whole, its blocks are not known" in done.output


def test_a_classifier_without_known_inside(command):
    done = command("doctor", "--model", "timm:test_resnet", "--pretrained", "random")
    assert done.exit_code == 0, done.output
    told = lines(done.output)
    assert told["model"] == "timm:test_resnet with weights 'random', ResNet"
    assert told["note"] == "The weights of the model are random (seed 0), as asked for."
    assert told["inside"].startswith("not known: ")
    assert told["maps"] == "are compared on 5×5 cells of 160 pixels"
    assert told["score"].startswith("logit ")
    assert told["score"].endswith("with 'tench'")
    assert told["gradient"].startswith("gives a map of 5×5 in ")


def test_a_pair_that_no_explainer_can_explain_is_told(command, tiny_model, monkeypatch):
    def refuse(*_):
        raise TypeError("no such thing")

    monkeypatch.setattr(model_diagnosis, "run_explainer", refuse)
    done = command("doctor", "--model", tiny_model)
    assert done.exit_code == 0
    assert lines(done.output)["gradient"] == "does not work here: TypeError: no such thing"


def test_masks_that_do_not_follow_the_picture_are_told(tiny_model, monkeypatch):
    model = load_model(tiny_model)
    monkeypatch.setattr(model_diagnosis, "load_model", lambda *_, **__: model)
    monkeypatch.setattr(
        type(model), "preprocess_mask", lambda *_: torch.eye(24)[None].cumsum(2).flip(2)
    )
    told = list(model_diagnosis.diagnosis("x", None, {}))
    assert any("does NOT lie where the box lies" in line for line in told)


def test_a_model_that_is_not_there(command):
    done = command("doctor", "--model", "torchvision:resnet18")
    assert done.exit_code == 2
    assert "architecture without weights" in done.output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("timm", ["timm:resnet18", "a1_in1k"]),
        ("torchvision", ["torchvision:resnet18", "IMAGENET1K_V1"]),
        ("open_clip", ["ViT-B-16", "openai"]),
    ],
)
def test_models_of_a_source(command, source, words):
    done = command("list", "models", source)
    assert done.exit_code == 0
    (line,) = [line for line in done.output.splitlines() if line.split()[0] == words[0]]
    assert words[1] in line
    assert f"'audit list models {source}'" in command("list", "models").output


def test_a_source_that_there_is_not(command):
    for words in (("models", "timn"), ("checks", "timm")):
        assert command("list", *words).exit_code == 2
    assert "did you mean 'timm'?" in command("list", "models", "timn").output
