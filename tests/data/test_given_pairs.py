"""Pairs out of what a caller hands in."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.data.errors import DataError
from audit.data.given_pairs import pairs_of_samples
from audit.data.given_samples import samples_of

NAMES = ("cat", "dog", "fish")


class Inputs:
    """A model that takes pictures of 8×8 pixels, and whose targets are the first letters."""

    def __init__(self, *, templates=True):
        self.uses_templates = templates

    def preprocess(self, picture):
        small = picture.convert("RGB").resize((8, 8))
        return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255.0

    def preprocess_mask(self, mask):
        return torch.from_numpy(np.array(mask.resize((8, 8), Image.Resampling.NEAREST)))[None] / 255

    def encode(self, texts):
        if self.uses_templates:
            return torch.tensor([[ord(t[0]), ord(t[-1])] for t in texts])
        return torch.tensor([NAMES.index(t) for t in texts])


class Dataset(torch.utils.data.Dataset):
    """PIL pictures with class ids, as torchvision's have them."""

    classes = NAMES

    def __init__(self, count, *, masks=False):
        self.count, self.masks = count, masks

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError
        picture = Image.new("RGB", (20, 10), (index, 0, 0))
        mask = np.zeros((10, 20), dtype=np.uint8)
        mask[:, 10:] = 1
        return (picture, index % 3, mask) if self.masks else (picture, index % 3)


def images(count):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def of(data, *, model=None, names=NAMES, count=None, template="a {}.", seed=0):
    model = model or Inputs(templates=names is None)
    return pairs_of_samples(samples_of(data, count, seed=seed), model, names, template)


def test_tensors_and_class_ids():
    given = images(5)
    pairs = of((given, torch.tensor([0, 2, 1, 0, 2])))
    assert torch.equal(pairs.images, given)
    assert pairs.ids == ("0", "1", "2", "3", "4")
    assert pairs.labels.tolist() == [0, 2, 1, 0, 2]
    assert pairs.classes == NAMES
    assert pairs.targets.tolist() == [0, 1, 2]
    assert pairs.present.sum(1).tolist() == [1] * 5
    assert pairs.masks is None
    assert (pairs.name, pairs.text(1)) == ("given tensors", "fish")


def test_pairs_of_one_picture_share_its_row():
    one, two = images(2)
    pairs = of(([one, two, one], [0, 1, 2]))
    assert pairs.picture.tolist() == [0, 1, 0]
    assert pairs.present.tolist() == [[True, False, True], [False, True, False]]


def test_rows_of_tokens_are_one_class_each():
    tokens = torch.tensor([[1, 2], [3, 4], [1, 2]])
    pairs = of((images(3), tokens), names=None)
    assert pairs.labels.tolist() == [0, 1, 0]
    assert pairs.targets.tolist() == [[1, 2], [3, 4]]
    assert pairs.classes == ("text 0", "text 1")


def test_labels_stand_in_the_prompt_of_a_model_of_texts():
    pairs = of((images(3), ["dog", "cat", "dog"]), names=None)
    assert pairs.classes == ("cat",)  # both prompts are one text to this model: 'a …t.' is 'a.'
    pairs = of((images(3), ["dog", "cat", "dog"]), names=None, template="{}")
    assert pairs.classes == ("cat", "dog")
    assert [pairs.text(i) for i in range(3)] == ["dog", "cat", "dog"]
    assert pairs.targets.tolist() == [[ord("c"), ord("t")], [ord("d"), ord("g")]]


def test_labels_name_classes_of_a_class_head():
    assert of((images(2), ["fish", "cat"])).labels.tolist() == [2, 0]


@pytest.mark.parametrize("names", [NAMES, None], ids=["class head", "texts"])
def test_a_dataset_of_pictures(names):
    pairs = of(Dataset(7, masks=True), names=names, template="{}")
    assert pairs.images.shape == (7, 3, 8, 8)
    assert [pairs.text(i) for i in range(4)] == ["cat", "dog", "fish", "cat"]
    assert pairs.masks[:, :, :4].sum() == 0
    assert bool(pairs.masks[:, :, 4:].all())
    assert pairs.name == "Dataset"


def test_some_are_drawn_by_the_seed_and_keep_their_numbers():
    some, again, other = (of(Dataset(50), count=6, seed=s) for s in (1, 1, 2))
    assert some.ids == again.ids != other.ids
    assert len(some) == 6
    for name, image in zip(some.ids, some.images, strict=True):
        assert round(float(image[0, 0, 0] * 255)) == int(name)


def test_items_may_be_mappings():
    rows = [{"image": image, "label": i, "id": "x"} for i, image in enumerate(images(2))]
    assert of(rows).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (images(2), "got Tensor"),
        ("photos", "got str"),
        ((images(2), [0]), r"as many targets and masks as pictures, got \[2, 1\]"),
        ((images(1)[0], [0]), r"\(pairs, 3, H, W\), got \(3, 8, 8\); of a single picture"),
        ((images(2), [0, 1], [None, np.ones((8, 8))]), "found none in 0"),
        ((images(2), [0, "cat"]), "targets of one kind, got int, str"),
        ((images(2), [0.5, 1.0]), "got float as target 0"),
        ((images(2), [0, 7]), "class ids from 0 to 2, got 7 in sample 1"),
        ((images(2), [0, -1]), "class ids from 0 to 2, got -1 in sample 1"),
        (((images(2) * 255).byte(), [0, 1]), r"got \(3, 8, 8\) of torch.uint8 as picture 0"),
        (([images(1)[0], torch.rand(3, 9, 9)], [0, 1]), "pictures of one size"),
        ((images(2), [0, 1], torch.ones(2, 4, 4)), r"expected masks of \(8, 8\) pixels"),
        ((images(2), [0, 1], torch.ones(2, 2, 8, 8)), r"expected a mask \(H, W\)"),
        ([(images(1)[0],)], "got tuple as item 0"),
        ([], "got nothing in it"),
    ],
)
def test_a_slip_is_told(data, words):
    with pytest.raises(DataError, match=words):
        of(data)


def test_class_ids_say_nothing_to_a_model_of_texts():
    with pytest.raises(DataError, match="give the names in place of the ids"):
        of((images(2), [0, 1]), names=None)
