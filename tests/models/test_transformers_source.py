"""Models of transformers out of a folder: as the library gives them, and nothing of it runs."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from PIL import Image

from audit.models.errors import ModelError
from audit.models.loading import load_model
from tests.oracles import oracle
from tests.small_transformers import MADE, write

transformers = oracle("transformers")
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))


GRIDS = {"swin": (8, 8)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small random model of each kind, saved as transformers does, with a tokenizer."""
    root = tmp_path_factory.mktemp("transformers")
    for name in MADE:
        write(name, root / name)
    return root


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of one of them with a changed configuration."""

    def copy(name, without=(), **changes):
        target = tmp_path / name
        target.mkdir()
        for file in (folders / name).iterdir():
            if file.name not in without:
                (target / file.name).write_bytes(file.read_bytes())
        config = json.loads((target / "config.json").read_text())
        (target / "config.json").write_text(json.dumps({**config, **changes}))
        return target

    return copy


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


def theirs(folders, name):
    """The module and the picture as transformers gives them."""
    kind, _, (processor, _) = MADE[name]
    module = getattr(transformers, kind).from_pretrained(folders / name).eval()
    pixels = getattr(transformers, processor).from_pretrained(folders / name)
    return module, pixels(images=PICTURE, return_tensors="pt")["pixel_values"]


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2", "resnet", "swin", "convnext"])
def test_a_classifier_scores_as_in_transformers(folders, name):
    model = load_model(f"hf:{folders / name}")
    module, pixels = theirs(folders, name)
    targets = model.encode(["bird", "hound", "dog, hound"])
    assert targets.tolist() == [2, 1, 1]
    images = model.preprocess(PICTURE)[None]
    assert torch.equal(images, pixels)
    with torch.no_grad():
        wanted = module(pixels).logits
        score = model.score(images.expand(3, -1, -1, -1), targets)
    assert torch.allclose(score, wanted[0, targets], atol=1e-6)
    assert (model.score_name, model.patch_grid) == ("logit", GRIDS.get(name, (4, 4)))
    assert model.notes == ()
    assert model.dtype is torch.float32


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_two_towers_score_as_in_transformers(folders, name, capfd):
    module, pixels = theirs(folders, name)
    capfd.readouterr()
    model = load_model(f"hf:{folders / name}")
    tokens = model.encode(["a photo of a cat.", "a dog"])
    assert tokens[0].tolist() == [2, 5, 6, 2, 3, 7, 0, 0, 0, 0, 0, 0]
    images = model.preprocess(PICTURE)[None]
    with torch.no_grad():
        wanted = module(input_ids=tokens, pixel_values=pixels).logits_per_image[0]
        cosine = model.score(images.expand(2, -1, -1, -1), tokens)
    logits = model.logit_scale * cosine + model.logit_bias
    assert torch.allclose(logits, wanted, atol=1e-4)
    assert (model.logit_bias != 0) == (name == "siglip")
    assert (model.score_name, model.uses_templates) == ("cosine", True)
    assert capfd.readouterr().err == ""
    assert model.patch_grid == (4, 4)


def test_without_a_tokenizer_random_weights_have_random_rows(folder, folders):
    target = folder("siglip", without=("tokenizer.json",))
    with pytest.raises(ModelError, match=r"its tokenizer as tokenizer\.json.*--tokenizer FOLDER"):
        load_model(f"hf:{target}")
    model = load_model(f"hf:{target}", "random", seed=2)
    assert model.notes[0].startswith("The weights of the model are random")
    assert "is a row of random tokens" in model.notes[1]
    given = load_model(f"hf:{target}", tokenizer=str(folders / "clip"))
    assert given.encode(["a cat"])[0, :3].tolist() == [2, 3, 0]
    with pytest.raises(ModelError, match=r"--tokenizer .*vit: expected a folder with tokenizer"):
        load_model(f"hf:{target}", tokenizer=str(folders / "vit"))


def test_weights_of_a_file_and_random_ones(folder, saved, folders):
    target = folder("vit", without=("model.safetensors",))
    with pytest.raises(ModelError, match=r"expected weights in the folder.*--pretrained random"):
        load_model(f"hf:{target}")
    state = {n: t + 1 for n, t in theirs(folders, "vit")[0].state_dict().items()}
    found = load_model(f"hf:{target}", saved(state)).module.state_dict()
    assert all(torch.equal(found[n], t) for n, t in state.items())
    assert "random (seed 4)" in load_model(f"hf:{target}", "random", seed=4).notes[0]


def test_missing_and_extra_tensors_are_told(folder):
    from safetensors.torch import load_file, save_file

    target = folder("vit")
    state = load_file(target / "model.safetensors")
    del state["classifier.bias"]
    save_file({**state, "extra": torch.zeros(1)}, target / "model.safetensors", {"format": "pt"})
    one, other = load_model(f"hf:{target}").notes
    assert one == (
        "classifier.bias are not among the weights of the folder and have random values."
    )
    assert other == "extra are among the weights of the folder and not in the model."


def test_identity_is_of_what_a_folder_holds_and_not_of_its_place(folder, folders):
    one, moved = (load_model(f"hf:{place}") for place in (folders / "vit", folder("vit")))
    assert one.state_sha256() == moved.state_sha256()
    assert one.architecture_sha256() == moved.architecture_sha256()
    target = folder("dinov2")
    before = load_model(f"hf:{target}").architecture_sha256()
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, "num_attention_heads": 2}))
    heads = load_model(f"hf:{target}").architecture_sha256()
    pixels = json.loads((target / "preprocessor_config.json").read_text())
    edited = {**pixels, "image_mean": [0.1, 0.2, 0.3]}
    (target / "preprocessor_config.json").write_text(json.dumps(edited))
    assert len({before, heads, load_model(f"hf:{target}").architecture_sha256()}) == 3


def test_a_folder_without_preprocessing_is_told(folder):
    target = folder("vit", without=("preprocessor_config.json",))
    model = load_model(f"hf:{target}")
    assert "says nothing of preprocessing" in model.notes[0]
    assert model.image_size == 32


CODE = "from pathlib import Path\nPath({marker!r}).touch()\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auto_map": {"AutoModel": "modeling_x.Model"}}, "auto_map names code of the folder"),
        ({"vision": {"auto_map": {"AutoModel": "x.M"}}}, r"vision\.auto_map names code"),
        ({"architectures": ["Planted"]}, "found 'Planted'"),
        ({"architectures": ["TimmWrapperForImageClassification"]}, "expected a class of"),
        ({"architectures": None}, "found None"),
        ({"attn_implementation": "kernels-x/attention"}, "may be code of a hub"),
        ({"quantization_config": {"quant_method": "x"}}, "is not supported"),
        ({"hidden_size": "wide"}, "cannot load model"),
    ],
)
def test_nothing_of_a_folder_runs(folder, tmp_path, monkeypatch, changes, words):
    target = folder("vit", **changes)
    for name in ("modeling_x", "x", "Planted", "__init__"):
        (target / f"{name}.py").write_text(CODE.format(marker=str(tmp_path / "ran")))
    monkeypatch.chdir(target)
    with pytest.raises(ModelError, match=words):
        load_model(f"hf:{target}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"auto_map": {"AutoImageProcessor": "x.P"}}, "auto_map names code of the folder"),
        ({"image_processor_type": "Planted"}, "found 'Planted'"),
        ({"image_processor_type": "ViTForImageClassification"}, "expected an image processor"),
    ],
)
def test_nor_of_its_image_processor(folder, config, words):
    target = folder("vit")
    (target / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=words):
        load_model(f"hf:{target}")


def test_a_pickle_as_its_weights_is_not_run(folder, tmp_path):
    import os

    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    target = folder("vit", without=("model.safetensors",))
    torch.save({"x": Planted()}, target / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot load model"):
        load_model(f"hf:{target}")
    assert not (tmp_path / "ran").exists()


def test_a_name_that_is_in_the_cache(folders, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--vit"
    shutil.copytree(folders / "vit", repository / "snapshots" / "made")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("made")
    model = load_model("hf:some/vit")
    assert model.state_sha256() == load_model(f"hf:{folders / 'vit'}").state_sha256()


def test_a_name_that_is_not_in_the_cache(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"'hf:no/such'.*--allow-download"):
        load_model("hf:no/such")
