"""A model of one's own: a function in a file, run because the user names it."""

from importlib.metadata import EntryPoint

import pytest
import torch

from audit.models import model_sources
from audit.models.companion_models import names_a_model
from audit.models.errors import ModelError
from audit.models.loading import load_model

SOURCE = """
import torch
from torch import nn
from torchvision import transforms

from names_of_own_model import CLASSES


def model():
    net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    steps = [transforms.Resize((16, 16)), transforms.ToTensor()]
    return {"module": net, "preprocess": transforms.Compose(steps), "classes": CLASSES}


def fails():
    raise RuntimeError("no weights here")


def nothing():
    return None


def misspelled():
    return {**model(), "clases": CLASSES}


def incomplete():
    return {"module": model()["module"]}


def ready():
    from audit.models.python_object import model_of
    return model_of(**model(), name="mine")


def towers():
    given = model()
    words = nn.Embedding(256, 3)
    both = nn.ModuleDict({"eye": given["module"], "words": words})
    return {
        "module": both,
        "preprocess": given["preprocess"],
        "encode": lambda texts: torch.tensor([[ord(t[0]), ord(t[-1])] for t in texts]),
        "features": lambda module, images: module["eye"](images),
        "target_features": lambda module, tokens: module["words"](tokens).sum(1),
        "score_name": "similarity",
    }


number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "names_of_own_model.py").write_text("CLASSES = ['cat', 'dog', 'bird']\n")
    (tmp_path / "own.py").write_text(SOURCE)
    return tmp_path / "own.py"


@pytest.mark.parametrize("function", ["model", "ready"])
def test_a_function_gives_the_model(file, function):
    name = f"{file}:{function}"
    model = load_model(name, seed=2)
    assert (model.name, model.image_size, model.patch_grid) == (name, 16, (4, 4))
    assert model.encode(["bird", "Cat"]).tolist() == [2, 0]
    assert model.state_sha256() == load_model(name, seed=2).state_sha256()
    assert names_a_model(name)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails", "its function raised RuntimeError: no weights here"),
        ("nothing", "got NoneType"),
        ("misspelled", "got a dictionary with 'clases'"),
        ("incomplete", "got a dictionary without 'preprocess', 'classes'"),
        ("modle", r"expected a function 'modle', found none .*did you mean 'model'\?"),
        ("number", "expected a function .*, got int"),
    ],
)
def test_what_is_wrong_with_it_is_told(file, function, words):
    with pytest.raises(ModelError, match=words):
        load_model(f"{file}:{function}")


def test_a_file_that_is_not_there_or_does_not_import(file):
    with pytest.raises(ModelError, match="expected a Python file, found none"):
        load_model(f"{file.parent}/gone.py:model")
    with pytest.raises(
        ModelError, match=r"expected a function after the file; write '.*py:function'"
    ):
        load_model(str(file))
    file.write_text("import no_such_module\n")
    with pytest.raises(ModelError, match="expected it to import, got ModuleNotFoundError"):
        load_model(f"{file}:model")


def test_its_weights_can_be_those_of_a_file(file, saved):
    state = load_model(f"{file}:model", seed=7).module.state_dict()
    model = load_model(f"{file}:model", saved(state))
    assert torch.equal(model.module.state_dict()["3.bias"], state["3.bias"])
    for pretrained in ("random", "openai"):
        with pytest.raises(ModelError, match="states its weights itself"):
            load_model(f"{file}:model", pretrained)


def test_an_edit_of_the_code_is_another_model(file):
    before = load_model(f"{file}:model", seed=2)
    file.write_text(SOURCE.replace("number = 3", "number = 4"))
    after = load_model(f"{file}:model", seed=2)
    assert before.state_sha256() == after.state_sha256()
    assert before.architecture_sha256() != after.architecture_sha256()


def test_an_entry_point_is_a_model(file, monkeypatch):
    point = EntryPoint("our-model", "own:model", model_sources.GROUP)
    monkeypatch.syspath_prepend(file.parent)
    monkeypatch.setattr(model_sources, "plugins", lambda: {"our-model": point})
    model = load_model("our-model")
    assert model.encode(["dog"]).tolist() == [1]


def test_two_towers_of_ones_own(file):
    model = load_model(f"{file}:towers", seed=1)
    tokens = model.encode(["a cat", "dog"])
    assert tokens.tolist() == [[97, 116], [100, 103]]
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = model.module["eye"](images) * model.module["words"](tokens).sum(1)
        assert torch.equal(model.score(images, tokens), wanted.sum(1))
    assert (model.score_name, model.uses_templates) == ("similarity", True)
    assert (model.logit_scale, model.logit_bias) == (1.0, 0.0)
    file.write_text(SOURCE.replace("sum(1)", "mean(1)"))
    assert load_model(f"{file}:towers").architecture_sha256() != model.architecture_sha256()
