"""What an explainer asks for by keyword is the model's and the data's own."""

from dataclasses import replace

import pytest
import torch

from audit.explainers.binding import bound
from audit.explainers.built_in import BUILT_IN
from audit.explainers.contract import run_explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.registry import comparable_with, list_explainers, load_explainer
from tests.class_head import CLASSES, class_pairs, model_with_class_head

SOURCE = """
import torch

GIVEN = {}


def asking(model, images, targets, classes=None, *, interface, preprocess, tokenizer, scale=1):
    '''Asks for all there is.'''
    GIVEN.update(classes=classes, preprocess=preprocess, tokenizer=tokenizer)
    scores = interface.features(model, images) @ interface.target_features(model, classes).T
    return scores[:, :, None] * float(scale)


def writing(model, images, targets, *, classes):
    classes.zero_()
    return images[:, 0]


class Held:
    def __init__(self, model, *, classes, flip: bool = False):
        self.classes = classes

    def __call__(self, images, targets):
        return self.classes[None, None].float().expand(len(images), 1, -1)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "asking.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def model():
    return model_with_class_head()


@pytest.fixture(scope="module")
def data(model):
    return class_pairs(model)


@pytest.fixture(scope="module")
def batch(data):
    return data.batch(torch.arange(3), torch.device("cpu"), torch.float32)


def test_all_that_it_asks_for(file, model, data, batch):
    loaded = load_explainer(f"{file}:asking", {"scale": "2"})
    assert loaded.asks == ("classes", "interface", "preprocess", "tokenizer")
    explainer = bound(loaded, model, data.targets)
    with torch.no_grad():
        found = run_explainer(explainer, model.module, *batch).maps
        torch.testing.assert_close(found[..., 0], 2 * model.module(batch[0]))
    given = loaded.explain.func.__globals__["GIVEN"]
    assert given["classes"].tolist() == [0, 1, 2, 3]
    assert given["tokenizer"](["dog"]).tolist() == [CLASSES.index("dog")]
    assert given["preprocess"] == model.interface.preprocess


def test_it_is_bound_anew_to_another_model(file, model, data, batch):
    explainer = bound(load_explainer(f"{file}:asking"), model, data.targets)
    fewer = bound(explainer, model, data.targets[:2])
    assert run_explainer(fewer, model.module, *batch).maps.shape == (3, 2, 1)


def test_the_classes_are_its_own(file, model, data, batch):
    run_explainer(
        bound(load_explainer(f"{file}:writing"), model, data.targets), model.module, *batch
    )
    assert data.targets.tolist() == [0, 1, 2, 3]


def test_a_class_asks_when_it_is_built(file, model, data, batch):
    explainer = bound(load_explainer(f"{file}:Held?flip=yes"), model, data.targets)
    assert run_explainer(explainer, model.module, *batch).maps[1].tolist() == [[0, 1, 2, 3]]


def test_the_inverse_passes_on_what_is_asked_for(file, model, data, batch):
    plain, inverse = (
        run_explainer(bound(load_explainer(spec), model, data.targets), model.module, *batch).maps
        for spec in (f"{file}:asking", f"inverted:{file}:asking")
    )
    torch.testing.assert_close(inverse, plain.amax((1, 2), keepdim=True) - plain)


@pytest.mark.parametrize("spec", [name for name in BUILT_IN if BUILT_IN[name].needs])
def test_heads_that_are_not_known(spec, model):
    for name in (spec, f"inverted:{spec}"):
        with pytest.raises(NeedsHeadsError, match=r"expected two towers, got a network.*; choose"):
            bound(load_explainer(name), model, None)


def test_who_needs_heads_is_listed():
    needs = {entry.name: entry.needs for entry in list_explainers()}
    assert {n for n, need in needs.items() if need == "heads"} == {
        "grad-eclip",
        "attention-eclip",
        "grad-attention",
        "attention-logit-gradient",
        "raw-attention", "rollout", "grad-sam", "attcat", "game", "legrad", "tam", "maskclip",
        "clip-surgery", "m2ib", "atman", "caap", "libra-grad", "attn-lrp",
        "tis", "vit-cx", "skip-plus", "transformer-attribution",
    }  # fmt: skip


def test_comparable_ones_are_bound_alike_and_need_no_heads_where_there_are_none(file, model):
    explainer = bound(load_explainer(f"{file}:Held"), model, torch.arange(4))
    without = {other.name for other in comparable_with(explainer, explains_text=False)}
    assert {"gradient", "grad-cam", "edges"} <= without
    assert not {"grad-eclip", "raw-attention", "game"} & without
    assert explainer.at_hand is not None
    known = replace(explainer, at_hand=replace(explainer.at_hand, lacks={}))
    others = comparable_with(known, explains_text=False)
    assert all(other.at_hand is known.at_hand for other in others)
    assert {"grad-eclip", "raw-attention", "game"} <= {other.name for other in others}
