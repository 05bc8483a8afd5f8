"""Classifiers of timm and torchvision: weights are stated, nothing is fetched, all is told."""

import socket
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from audit.models.checkpoint_order import in_order
from audit.models.companion_models import find_companion_models, names_a_model
from audit.models.errors import ModelError
from audit.models.loading import load_model

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.parametrize(
    ("name", "size", "grid"),
    [
        ("timm:test_vit", 160, (10, 10)),
        ("timm:test_resnet", 160, (5, 5)),
        ("torchvision:mobilenet_v3_small", 224, (7, 7)),
    ],
)
def test_random_weights_are_those_of_the_seed_and_told(name, size, grid):
    one, two, other = (load_model(name, "random", seed=seed) for seed in (3, 3, 4))
    assert one.state_sha256() == two.state_sha256() != other.state_sha256()
    assert one.architecture_sha256() == two.architecture_sha256()
    assert one.notes == ("The weights of the model are random (seed 3), as asked for.",)
    assert (one.image_size, one.patch_grid, one.score_name) == (size, grid, "logit")
    targets = one.encode(["tench", "n01440764", "great white shark"])
    assert targets.tolist() == [0, 0, 2]
    images = one.preprocess(PICTURE).expand(3, -1, -1, -1)
    with torch.no_grad():
        logits = one.module(images)
        assert torch.equal(one.score(images, targets), logits[torch.arange(3), targets])


def test_pictures_enter_as_the_library_says():
    ours = load_model("timm:test_resnet", "random")
    config = timm.data.resolve_model_data_config(ours.module)
    assert torch.equal(
        ours.preprocess(PICTURE), timm.data.create_transform(**config, is_training=False)(PICTURE)
    )
    ours = load_model("torchvision:resnet18", "random")
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    assert torch.equal(ours.preprocess(PICTURE), weights.transforms()(PICTURE))


@pytest.mark.parametrize(
    ("name", "pretrained", "words"),
    [
        ("timm:resnet18", None, ["architecture without weights", "a1_in1k", "random"]),
        ("torchvision:resnet18", None, ["architecture without weights", "IMAGENET1K_V1"]),
        ("timm:resnet18", "a1_in1k", ["'a1_in1k' of 'timm:resnet18'", "--allow-download"]),
        ("timm:resnet18.a1_in1k", None, ["not in the local cache", "--allow-download"]),
        ("torchvision:resnet18", "IMAGENET1K_V1", ["not in the local cache", "--allow-download"]),
        ("torchvision:resnet18", "DEFAULT", ["not in the local cache"]),
        ("timm:resnet18", "a1_in1", ["unknown weights 'a1_in1'", "did you mean 'a1_in1k'?"]),
        ("torchvision:resnet18", "IMAGENET1K_V7", ["did you mean 'IMAGENET1K_V1'?"]),
        ("timm:resnet81", "random", ["unknown model 'timm:resnet81'", "did you mean"]),
        ("torchvision:resnet81", "random", ["unknown model", "audit list models torchvision"]),
        ("timm:resnet18", "./none.pt", ["no checkpoint file './none.pt'"]),
        ("torchvision:resnet18", "./none.pt", ["no checkpoint file './none.pt'"]),
        ("timm:vit_small_patch14_dinov2", "random", ["has no class head"]),
    ],
)
def test_what_cannot_be_loaded_says_why_and_what_to_do(name, pretrained, words):
    with pytest.raises(ModelError) as error:
        load_model(name, pretrained)
    for word in words:
        assert word in str(error.value)


def test_a_tokenizer_for_classes_is_refused():
    with pytest.raises(ModelError, match="are classes, which need none; leave it out"):
        load_model("timm:test_resnet", "random", tokenizer="somewhere")


def other(name):
    return load_model(name, "random", seed=9).module.state_dict()


@pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:mobilenet_v3_small"])
def test_a_checkpoint_file_is_laid_into_the_model(saved, name):
    state = other(name)
    file = saved({"state_dict": {f"module.{n}": t for n, t in state.items()}}, "a.pth")
    model = load_model(name, file)
    found = model.module.state_dict()
    assert all(torch.equal(found[n], t) for n, t in state.items())
    (told,) = model.notes
    assert "without the table 'state_dict' and the prefix 'module.'" in told


def test_a_checkpoint_of_another_architecture_is_refused(saved):
    with pytest.raises(ModelError, match="of another architecture than the model"):
        load_model("timm:test_resnet", saved(other("timm:test_vit")))


def test_other_names_in_the_same_order_are_laid_in_and_told(saved):
    state = other("timm:test_resnet")
    renamed = {f"layer_{i}": t for i, t in enumerate(state.values())}
    kept = {n: t for n, t in zip(renamed, state.values(), strict=True) if t.ndim}
    with pytest.raises(ModelError, match="of another architecture"):
        load_model("timm:test_resnet", saved(kept))  # safetensors sorts what it holds
    model = load_model("timm:test_resnet", saved(kept, "a.pt"))
    found = model.module.state_dict()
    assert all(torch.equal(found[n], t) for n, t in state.items() if t.ndim)
    (told,) = model.notes
    assert "have other names than the model's" in told


def test_order_stands_for_names_only_where_no_name_agrees_and_every_shape_does():
    own = {"a": torch.zeros(2), "b": torch.zeros(3), "c.num_batches_tracked": torch.tensor(0)}
    state, told = in_order(own, {"x": torch.ones(2), "y": torch.ones(3)}, "f")
    assert state.keys() == {"a", "b"}
    assert told
    for given in (
        {"a": torch.ones(2), "y": torch.ones(3)},
        {"x": torch.ones(3), "y": torch.ones(2)},
        {"x": torch.ones(2)},
        {},
    ):
        assert in_order(own, given, "f") == (given, "")


def test_a_pickle_in_the_cache_is_not_run(tmp_path):
    class Planted:
        def __reduce__(self):
            return Path.mkdir, (tmp_path / "ran",)

    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    file = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    file.parent.mkdir(parents=True)
    torch.save({"fc.weight": Planted()}, file)
    with pytest.raises(ModelError, match="cannot load model 'torchvision:resnet18'"):
        load_model("torchvision:resnet18", "IMAGENET1K_V1")
    assert not (tmp_path / "ran").exists()


def test_weights_in_the_cache_of_the_hub_are_used(tmp_path):
    state = other("timm:test_resnet")
    repository = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    (repository / "snapshots" / "made").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("made")
    save_file(state, repository / "snapshots" / "made" / "model.safetensors")
    for name, tag in (("timm:test_resnet", "r160_in1k"), ("timm:test_resnet.r160_in1k", None)):
        found = load_model(name, tag)
        assert all(torch.equal(found.module.state_dict()[n], t) for n, t in state.items())
        assert found.notes == ()


def test_weights_in_the_cache_are_used():
    url = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT.url
    file = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    file.parent.mkdir(parents=True)
    state = other("torchvision:mobilenet_v3_small")
    torch.save(state, file)
    model = load_model("torchvision:mobilenet_v3_small", "IMAGENET1K_V1")
    first = "features.0.0.weight"
    assert torch.equal(model.module.state_dict()[first], state[first])
    assert model.notes == ()


def test_another_model_of_any_source_can_stand_beside_the_audited_one():
    model = load_model("timm:test_resnet", "random")
    sources = ["timm:test_vit:random", "torchvision:mobilenet_v3_small:random"]
    assert all(map(names_a_model, sources))
    assert not any(map(names_a_model, ["weights.pt", "IMAGENET1K_V1"]))
    found = find_companion_models(model, sources)
    assert [companion.source for companion in found] == sources
    assert found[0].load(model).image_size == 160
    with pytest.raises(ModelError, match="got an architecture alone; give timm:test_vit:TAG"):
        find_companion_models(model, ["timm:test_vit"])
