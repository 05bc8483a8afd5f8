"""Class ids as targets: one-hot rows, whose product with the scores is the score."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from audit.models.anatomy import UnknownAnatomyError
from audit.models.class_names import ClassNames, imagenet
from audit.models.errors import ModelError
from audit.models.pristine import pristine_copy
from audit.models.python_object import model_of
from audit.models.tower_chain import chain_tower
from tests.data.drawn import drawn as manifest_pairs

SIDE, CLASSES = 16, ("cat", "dog", "great white shark")


class Net(nn.Module):
    def __init__(self, kind="tensor"):
        super().__init__()
        self.stem, self.head, self.kind = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 3), kind

    def forward(self, images):
        logits = self.head(self.stem(images).relu().mean((2, 3)))
        return logits if self.kind == "tensor" else SimpleNamespace(logits=logits)


def preprocess(picture):
    pixels = np.asarray(picture.resize((SIDE, SIDE)), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1


def own(**more):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net(more.pop("kind", "tensor"))
    return model_of(net, more.pop("preprocess", preprocess), more.pop("classes", CLASSES), **more)


IMAGES = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["tensor", "object"])
def test_the_score_is_the_logit_exactly(kind):
    model = own(kind=kind)
    targets = model.encode(["dog", "cat", "Great  White shark", "1"])
    assert targets.tolist() == [1, 0, 2, 1]
    with torch.no_grad():
        logits = own().module(IMAGES)
        assert torch.equal(model.score(IMAGES, targets), logits[torch.arange(4), targets])
        assert torch.equal(model.features(IMAGES), logits)
    assert model.target_features(targets).dtype is torch.float32
    assert (model.score_name, model.uses_templates) == ("logit", False)
    assert (model.logit_scale, model.logit_bias) == (1.0, 0.0)
    assert (model.image_size, model.patch_grid) == (SIDE, (4, 4))
    with pytest.raises(UnknownAnatomyError):
        model.require_anatomy()


def test_a_score_of_pairs_stands_for_the_logits():
    def probability(module, images, targets):
        return module(images).softmax(-1)[torch.arange(len(images)), targets]

    model = own(score=probability, score_name="probability")
    with torch.no_grad():
        wanted = model.module(IMAGES).softmax(-1)
        assert torch.equal(model.features(IMAGES), wanted)
        altered = pristine_copy(model.module)
        altered.head.weight.zero_()
        assert not torch.equal(model.with_module(altered).features(IMAGES), wanted)
    assert model.score_name == "probability"


def test_the_module_runs_once_for_all_classes_of_a_score_of_pairs():
    def probability(module, images, targets):
        return module(images).softmax(-1)[torch.arange(len(images)), targets]

    model, runs = own(score=probability), []
    model.module.register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        model.features(IMAGES)
        assert len(runs) == 1
        tower = chain_tower("image", model.module, model.interface.features, IMAGES[:1])
    assert tower.blocks


def test_an_unknown_class_names_a_close_one():
    with pytest.raises(ModelError, match=r"unknown class 'dgo' \(did you mean 'dog'\?\)"):
        own().encode(["cat", "dgo"])


def test_other_numbers_of_logits_than_names_are_told():
    with pytest.raises(ModelError, match=r"\(4, 2\) of the model, got \(4, 3\)"):
        own(classes=("cat", "dog")).features(IMAGES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ()}, "names of the model's classes, got none"),
        ({"classes": "cat"}, "as a list, got str"),
        ({"preprocess": lambda p: p}, r"expected a tensor \(3, H, W\) of one picture, got Image"),
        ({"preprocess": lambda p: preprocess(p)[None]}, "leave out the dimension of the batch"),
        ({"preprocess": lambda p: preprocess(p)[:, :8]}, "expected square pictures"),
        ({"preprocess": lambda p: 1 / 0}, "got ZeroDivisionError"),
    ],
)
def test_what_is_no_model_of_ones_own_is_named(change, words):
    with pytest.raises(ModelError, match=words):
        own(**change)


def test_names_that_occur_twice_are_told():
    (told,) = own(classes=("crane", "dog", "crane")).notes
    assert "1 names stand for several classes" in told
    assert ClassNames.of(("crane", "dog", "crane")).ids(["crane"]).tolist() == [0]


def test_imagenet_is_known_by_names_synonyms_synsets_and_numbers():
    texts = [
        "tench",
        "great_white_shark",
        "Tinca tinca",
        "n01440764",
        "crane bird",
        "crane",
        "cardigan",
        "Cardigan",
    ]
    assert imagenet().ids([*texts, "999"]).tolist() == [0, 2, 0, 0, 134, 517, 474, 264, 999]


def test_a_mask_and_the_colors_follow_from_the_function():
    model = own()
    mask = np.zeros((40, 80), dtype=np.uint8)
    mask[:, 40:] = 255
    moved = model.preprocess_mask(Image.fromarray(mask))[0] > 0.5
    wanted = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    wanted[:, SIDE // 2 :] = True
    assert torch.equal(moved, wanted)
    colors = model.restore_colors(model.preprocess(Image.new("RGB", (9, 9), (255, 0, 51))))
    assert torch.allclose(colors[:, 3, 3], torch.tensor([1.0, 0.0, 0.2]), atol=1e-6)


def test_a_mask_that_cannot_follow_needs_a_function_of_its_own():
    def stretched(picture):
        image = preprocess(picture)
        return (image - image.mean()) / image.std().clamp_min(0.1) + image.pow(2).mean()

    mask = Image.new("L", (8, 8), 255)
    with pytest.raises(ModelError, match="give preprocess_mask too"):
        own(preprocess=stretched).preprocess_mask(mask)
    given = own(preprocess=stretched, preprocess_mask=lambda m: torch.ones(1, SIDE, SIDE))
    assert given.preprocess_mask(mask).sum() == SIDE * SIDE


def test_labels_of_a_manifest_are_classes_and_no_prompts(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("image,label\na.png,dog\n")
    pairs = manifest_pairs(own(), tmp_path, None, template="a photo of a {}.")
    assert (pairs.templates, pairs.text(0), pairs.targets.tolist()) == (("{}",), "dog", [1])
