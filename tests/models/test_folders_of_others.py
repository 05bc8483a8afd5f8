"""A model folder is data: nothing of it runs, no hub is asked, and what does not fit is named."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audit.models.errors import ModelError
from audit.models.loading import load_model
from audit.models.network import NetworkRefusedError, network
from audit.models.open_clip_weights import activation_notes
from tests.oracles import oracle

CODE = "from pathlib import Path\nPath({marker!r}).touch()\n"
AUTO_MAP = {"AutoTokenizer": ["tokenization_x.Tokenizer", None], "AutoModel": "modeling_x.Model"}


@pytest.fixture
def asked(monkeypatch):
    """Addresses that somebody wanted from the network; none of them is reached."""
    wanted = []

    def refuse(*given, **_):
        wanted.append(given)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return wanted


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy of the tiny model whose configuration is changed, ``a__b=value`` standing for a.b."""

    def write(**changes):
        source, target = Path(tiny_model.removeprefix("local-dir:")), tmp_path / "model"
        target.mkdir(exist_ok=True)
        config = json.loads((source / "open_clip_config.json").read_text())
        for place, value in changes.items():
            *tables, key = place.split("__")
            table = config
            for name in tables:
                table = table.setdefault(name, {})
            table[key] = value
        (target / "open_clip_config.json").write_text(json.dumps(config))
        weights = target / "open_clip_model.safetensors"
        weights.write_bytes((source / weights.name).read_bytes())
        return target

    return write


def plant(folder, marker):
    """Code that a library would run if it trusted the folder."""
    for name in ("tokenization_x", "modeling_x", "configuration_x", "sitecustomize", "__init__"):
        (folder / f"{name}.py").write_text(CODE.format(marker=str(marker)))
    for name in ("tokenizer_config", "config"):
        (folder / f"{name}.json").write_text(
            json.dumps({"auto_map": AUTO_MAP, "model_type": "x", "tokenizer_class": "X"})
        )


TEXT, VISION = "model_cfg__text_cfg__", "model_cfg__vision_cfg__"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({f"{TEXT}hf_tokenizer_name": "evil/tokenizer"}, ["'evil/tokenizer'", "tokenizer.json"]),
        (
            {
                f"{TEXT}hf_tokenizer_name": "evil/tokenizer",
                f"{TEXT}tokenizer_kwargs": {"trust_remote_code": True},
            },
            ["tokenizer_kwargs.trust_remote_code"],
        ),
        ({f"{TEXT}tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}, ["tokenizer_kwargs.bpe_path"]),
        ({f"{TEXT}tokenizer_kwargs": {"reduction_mask": "syntax"}}, ["reduction_mask"]),
        ({f"{TEXT}tokenizer_mode": "clips"}, ["tokenizer_mode", "'clips'"]),
        ({f"{TEXT}hf_model_name": "evil/text"}, ["hf_model_name", "evil/text"]),
        ({f"{VISION}timm_model_name": "hf-hub:evil/tower"}, ["timm_model_name", "evil/tower"]),
        ({f"{VISION}timm_model_name": "local-dir:model"}, ["timm_model_name"]),
    ],
)
def test_no_code_of_a_folder_runs_and_no_hub_is_asked(folder, asked, tmp_path, changes, words):
    marker = tmp_path / "ran"
    target = folder(**changes)
    plant(target, marker)
    with pytest.raises(ModelError) as error:
        load_model(f"local-dir:{target}")
    for word in words:
        assert word in str(error.value)
    assert not marker.exists()
    assert asked == []


def test_code_beside_a_model_that_names_none_is_left_alone(folder, asked, tmp_path, monkeypatch):
    target = folder(model_cfg__auto_map=None)
    config = json.loads((target / "open_clip_config.json").read_text())
    del config["model_cfg"]["auto_map"]
    (target / "open_clip_config.json").write_text(json.dumps({"auto_map": AUTO_MAP, **config}))
    plant(target, tmp_path / "ran")
    monkeypatch.chdir(target)
    model = load_model(f"local-dir:{target}")
    assert model.encode(["a cat"]).shape == (1, 24)
    assert not (tmp_path / "ran").exists()
    assert asked == []


def test_a_tokenizer_of_a_file_gives_the_ids_of_transformers(folder, asked, tmp_path):
    transformers = oracle("transformers")
    from open_clip.tokenizer import HFTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "cat", "##s", "red", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    source = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    for stripped in (False, True):
        target = folder(
            model_cfg__text_cfg__hf_tokenizer_name="bert-base-uncased",
            model_cfg__text_cfg__tokenizer_kwargs={"strip_sep_token": stripped},
        )
        source.save_pretrained(target)
        texts = ["A  photo of cats.", "", "red " * 40, "unknown words"]
        theirs = HFTokenizer(str(target), context_length=24, strip_sep_token=stripped)
        ids = load_model(f"local-dir:{target}").encode(texts)
        assert torch.equal(ids, theirs(texts))
        assert set(ids.unique().tolist()) >= {0, 1, 2, 4, 9}
    plant(target, tmp_path / "ran")
    with pytest.raises(ModelError, match="auto_map names code of a tokenizer, which is not run"):
        load_model(f"local-dir:{target}")
    assert not (tmp_path / "ran").exists()
    assert asked == []


def test_a_tokenizer_that_is_not_at_hand_is_random_rows_for_random_weights(folder, asked):
    target = folder(**{f"{TEXT}hf_tokenizer_name": "evil/tokenizer"})
    model = load_model(f"local-dir:{target}", "random", seed=5)
    assert "The tokenizer 'evil/tokenizer' is not at hand" in model.notes[1]
    one, two, same = model.encode(["a cat", "a dog", "a cat"])
    assert torch.equal(one, same)
    assert not torch.equal(one, two)
    assert (one.shape, int(one[-1])) == ((24,), 49407)
    with torch.no_grad():
        assert -1 <= float(model.score(torch.zeros(1, 3, 24, 24), one[None])) <= 1
    assert asked == []


def test_a_tokenizer_that_is_given_stands_for_that_of_the_configuration(folder, tmp_path):
    from tokenizers import Tokenizer, models

    target = folder(**{f"{TEXT}hf_tokenizer_name": "some/tokenizer"})
    own = tmp_path / "tokenizer"
    own.mkdir()
    Tokenizer(models.WordLevel({"[PAD]": 0, "cat": 1}, "[PAD]")).save(str(own / "tokenizer.json"))
    (own / "tokenizer_config.json").write_text('{"pad_token": "[PAD]"}')
    with pytest.raises(ModelError, match="or give --tokenizer FOLDER"):
        load_model(f"local-dir:{target}")
    model = load_model(f"local-dir:{target}", tokenizer=str(own))
    assert model.encode(["cat"])[0, :3].tolist() == [1, 0, 0]
    with pytest.raises(ModelError, match=r"expected a folder with tokenizer\.json, found none"):
        load_model(f"local-dir:{target}", tokenizer=str(target))


def test_an_image_tower_without_known_inside_is_loaded(folder):
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    config = {f"{VISION}{key}": value for key, value in vision.items()}
    target = folder(**config)
    document = json.loads((target / "open_clip_config.json").read_text())
    del document["model_cfg"]["vision_cfg"]["patch_size"]
    (target / "open_clip_config.json").write_text(json.dumps(document))
    model = load_model(f"local-dir:{target}", "random")
    assert (model.patch_grid, model.image_size, model.score_name) == ((2, 2), 64, "cosine")
    assert model.anatomy is None


@pytest.mark.parametrize(
    ("name", "tag", "words"),
    [
        ("ViT-B-16", "openai", ["QuickGELU", "--model ViT-B-16-quickgelu --pretrained openai"]),
        ("ViT-B-16-quickgelu", "laion2b_s34b_b88k", ["trained with GELU", "computes with Quick"]),
    ],
)
def test_another_activation_than_that_of_the_weights_is_told(name, tag, words):
    (told,) = activation_notes(name, tag)
    for word in words:
        assert word in told
    assert activation_notes("ViT-B-16-quickgelu", "openai") == ()


def test_a_damaged_tokenizer_is_named(folder):
    target = folder(model_cfg__text_cfg__hf_tokenizer_name="x")
    (target / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a readable tokenizer"):
        load_model(f"local-dir:{target}")


@pytest.mark.parametrize(
    ("name", "tag", "words"),
    [
        ("ViT-B-32", "openai", "weights 'openai' of 'ViT-B-32' are not in the local cache"),
        ("roberta-ViT-B-32", "random", "text tower 'roberta-base' of a hub"),
    ],
)
def test_what_is_not_at_hand_is_not_fetched_unasked(tmp_path, asked, monkeypatch, name, tag, words):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="--allow-download") as error:
        load_model(name, tag)
    assert words in str(error.value)
    assert asked == []


def test_a_download_that_is_allowed_is_tried(asked, tmp_path, monkeypatch):
    from audit.models import network as own

    wanted = []
    monkeypatch.setattr(own, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(own, "hf_hub_download", lambda *given: wanted.append(given) or refuse())

    def refuse():
        raise OSError("no hub here")

    with pytest.raises(ModelError, match=r"text tower 'roberta-base' of a hub"):
        load_model("roberta-ViT-B-32", "random", allow_download=True)
    assert wanted == [("roberta-base", "config.json")]
    assert asked == []


def test_the_network_is_refused_within_and_given_back(asked):
    with network(allowed=False):
        with pytest.raises(NetworkRefusedError, match="--allow-download"):
            socket.getaddrinfo("localhost", 80)
        with pytest.raises(NetworkRefusedError), socket.socket() as own:
            own.connect(("127.0.0.1", 9))
    assert asked == []
    with pytest.raises(OSError, match="no network here"):
        socket.getaddrinfo("localhost", 80)


@pytest.mark.parametrize(
    ("place", "value", "key"),
    [
        (f"{VISION}image_size", [24, 36], "vision_cfg.image_size"),
        (f"{VISION}image_size", -24, "vision_cfg.image_size"),
        (f"{VISION}image_size", 24.5, "vision_cfg.image_size"),
        (f"{VISION}image_size", 10**9, "vision_cfg.image_size"),
        (f"{VISION}patch_size", 0, "vision_cfg.patch_size"),
        (f"{VISION}width", "wide", "vision_cfg.width"),
        (f"{VISION}layers", True, "vision_cfg.layers"),
        (f"{TEXT}context_length", -1, "text_cfg.context_length"),
        (f"{TEXT}vocab_size", 1000, "text_cfg.vocab_size"),
        ("model_cfg__embed_dim", 10**12, "embed_dim"),
        ("preprocess_cfg__interpolation", "lanczos", "preprocess_cfg.interpolation"),
        ("preprocess_cfg__interpolation", ["bicubic"], "preprocess_cfg.interpolation"),
        ("preprocess_cfg__resize_mode", "stretch", "preprocess_cfg.resize_mode"),
        ("preprocess_cfg__std", [0.5, 0.0, 0.5], "preprocess_cfg.std"),
        ("preprocess_cfg__std", [0.5, 0.5], "preprocess_cfg.std"),
        ("preprocess_cfg__mean", [0.5, float("nan"), 0.5], "preprocess_cfg.mean"),
        ("preprocess_cfg__size", [24, 36], "preprocess_cfg.size"),
        ("preprocess_cfg", "none", "preprocess_cfg"),
        ("model_cfg", [], "model_cfg.vision_cfg"),
    ],
)
def test_a_value_that_no_model_can_have_names_its_key(folder, place, value, key):
    with pytest.raises(ModelError) as error:
        load_model(f"local-dir:{folder(**{place: value})}")
    assert key in str(error.value)
    assert "expected" in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff", "[" * 100_000])
def test_a_configuration_that_is_no_table(folder, text):
    target = folder()
    (target / "open_clip_config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ModelError, match=r"open_clip_config\.json"):
        load_model(f"local-dir:{target}")


def test_configurations_that_open_clip_cannot_build_are_no_traceback(folder):
    for change in ({f"{VISION}no_such_key": 1}, {f"{VISION}mlp_ratio": "x"}, {f"{TEXT}heads": 3}):
        with pytest.raises(ModelError, match="cannot load model"):
            load_model(f"local-dir:{folder(**change)}")


def changed(folder, name, value):
    target = folder()
    file = target / "open_clip_model.safetensors"
    state = load_file(file)
    state[name] = value(state[name])
    save_file(state, file)
    return f"local-dir:{target}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda t: t * float("nan"), "no finite numbers: visual.proj"),
        (lambda t: t / 0, "no finite numbers: visual.proj"),
        (lambda t: t.to(torch.complex64), "visual.proj is complex"),
        (lambda t: t.to(torch.int8), "visual.proj is whole numbers"),
        (lambda t: t > 0, "visual.proj is boolean"),
    ],
)
def test_weights_that_are_no_finite_real_numbers_are_named(folder, value, words):
    with pytest.raises(ModelError) as error:
        load_model(changed(folder, "visual.proj", value))
    assert words in str(error.value)


def test_weights_that_overflow_in_half_precision_are_named(folder):
    source = changed(folder, "visual.proj", lambda t: t * 1e6)
    with pytest.raises(ModelError, match=r"in float16' holds .* no finite numbers: visual\.proj"):
        load_model(source, dtype="float16")
    assert load_model(source).dtype is torch.float32


def test_a_folder_without_weights_needs_a_word(folder):
    target = folder()
    (target / "open_clip_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected weights in the folder .*--pretrained random"):
        load_model(f"local-dir:{target}")
    model = load_model(f"local-dir:{target}", "random", seed=3)
    assert model.pretrained == "random"
    assert "random (seed 3)" in model.notes[0]


def test_an_architecture_without_weights_names_the_tags():
    with pytest.raises(ModelError, match=r"architecture without weights.*openai.*random"):
        load_model("ViT-B-32")


def test_weights_of_a_pipe_do_not_block(tiny_model, tmp_path):
    os.mkfifo(tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="no checkpoint file"):
        load_model(tiny_model, str(tmp_path / "weights.pt"))


def test_a_pickle_as_the_weights_of_a_folder_is_not_run(folder, tmp_path):
    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    target = folder()
    (target / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Planted()}, target / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot read checkpoint"):
        load_model(f"local-dir:{target}")
    np.save(tmp_path / "weights.npy", np.array([Planted()], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match="cannot read checkpoint"):
        load_model(f"local-dir:{target}", str(tmp_path / "weights.npy"))
    assert not (tmp_path / "ran").exists()
