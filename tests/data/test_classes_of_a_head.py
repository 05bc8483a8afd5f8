"""Data of classes that a model with a class head has, has not, or knows by other names."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.data import data_sources
from audit.data.data_sources import pairs_of, source_of
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures
from audit.models.class_head import ClassHead
from audit.models.class_names import ClassNames, imagenet
from audit.models.errors import ModelError
from audit.models.loading import load_model
from tests.data.drawn import drawn

SIDE = 24


class Head(ClassHead):
    """What a class head says of texts, with pictures that are taken as they are."""

    def preprocess(self, picture):
        return torch.from_numpy(np.array(picture.resize((SIDE, SIDE)))).permute(2, 0, 1) / 255

    def preprocess_mask(self, mask):
        return torch.from_numpy(np.array(mask.resize((SIDE, SIDE))))[None] / 255


def head(*names):
    return Head(ClassNames.of(names))


def folders(root, *names):
    for i, name in enumerate(names):
        (root / name).mkdir()
        Image.new("RGB", (SIDE, SIDE), (20 * i, 90, 90)).save(root / name / "a.png")
    return f"folder:{root}"


def test_classes_that_a_head_does_not_have_are_left_out_and_told(tmp_path):
    data = folders(tmp_path, "ant", "bee", "cat", "junk", "yak")
    pairs = drawn(head("yak", "ant", "cat", "bee", "dog"), data, None)
    assert pairs.classes == ("ant", "bee", "cat", "yak")
    assert pairs.targets[pairs.labels].tolist() == [1, 3, 2, 0]
    assert [(s.what, s.reason) for s in pairs.skipped] == [
        ("junk (1 row)", "the model has no such class")
    ]
    assert drawn(head("yak", "ant", "cat", "bee"), data, None, grid="auto").grid == 2


@pytest.mark.parametrize("names", [("ant", "bee"), ("dog",)])
def test_data_of_which_a_head_has_no_more_than_half_are_refused(tmp_path, names):
    data = folders(tmp_path, "ant", "bee", "junk", "more junk")
    with pytest.raises(ModelError, match=r"unknown class .* and \d more"):
        drawn(head(*names), data, None)


def test_a_manifest_is_not_used_without_some_of_its_classes(tmp_path):
    folders(tmp_path, "ant", "bee", "cat")
    rows = "".join(f"{name}/a.png,{name}\n" for name in ("ant", "bee", "cat"))
    (tmp_path / "manifest.csv").write_text(f"image,label\n{rows}")
    with pytest.raises(ModelError, match="unknown class 'cat'"):
        drawn(head("ant", "bee"), tmp_path, None)


def test_masks_and_further_classes_keep_the_numbers_of_their_source(tmp_path, monkeypatch):
    """The mask of a row is read by its class's number, as those of ImageNet-S and VOC are."""
    data = source_of("folder:").load(folders(tmp_path, "ant", "bee", "cat"))

    def mask(row, opened):
        levels = np.zeros((SIDE, SIDE), np.uint8)
        levels[: row["class"] + 1] = 255
        return Image.fromarray(levels)

    given = LabelledPictures(**vars(data) | {"mask": mask, "shows": lambda _: (0, 2)})
    monkeypatch.setattr(data_sources, "source_of", lambda _: type("Source", (), {"load": load}))

    def load(*_, **__):
        return given

    pairs = drawn(head("cat", "bee"), "ours", None)
    assert pairs.classes == ("bee", "cat")
    assert pairs.masks.sum((1, 2)).tolist() == [2 * SIDE, 3 * SIDE]
    assert pairs.present.tolist() == [[True, True], [False, True]]


def test_synsets_mean_their_classes_whatever_these_are_called(tmp_path):
    """Among them the rooster, whom the model knows as a cock."""
    synsets = ("n01514668", "n02012849", "n03126707", "n02124075")
    data = folders(tmp_path, *synsets)
    pairs = drawn(Head(imagenet()), data, None)
    assert pairs.classes[0] == "rooster"
    assert pairs.targets.tolist() == [7, 134, 285, 517]
    assert not pairs.skipped


def test_synsets_among_other_names_are_called_by_their_names(tmp_path, tiny_model):
    data = folders(tmp_path, "n01514668", "n02012849", "n99999999", "tabby", "things")
    pairs = drawn(load_model(tiny_model), data, None)
    assert pairs.classes == ("rooster", "crane bird", "n99999999", "tabby", "things")
    assert pairs.notes == (
        "Classes that are called by an id, which is all that the model reads: n99999999.",
    )
    known = drawn(Head(imagenet()), data, None)
    assert known.targets.tolist() == [7, 134, 281]
    assert [one.what for one in known.skipped] == ["n99999999 (1 row)", "things (1 row)"]


@pytest.mark.parametrize(("ids", "found"), [(("7", "134"), [7, 134]), (("5", "6"), None)])
def test_numbers_are_believed_where_names_agree(tmp_path, ids, found):
    data = source_of("folder:").load(folders(tmp_path, "cock", "white crane"))
    given = LabelledPictures(**vars(data) | {"known_as": ids, "classes": ("cock", "rooster bird")})
    load = type("Source", (), {"load": lambda *_, **__: given})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_sources, "source_of", lambda _: load())
        if found is None:
            with pytest.raises(ModelError, match="unknown class 'rooster bird'"):
                drawn(Head(imagenet()), "ours", None)
        else:
            assert drawn(Head(imagenet()), "ours", None).targets.tolist() == found


def test_grids_for_which_the_model_tells_too_few_classes_apart_are_done_without(tmp_path):
    """Four folders of three classes: one class cannot stand in a grid twice."""
    data = folders(tmp_path, "ant", "Ant", "bee", "cat")
    model = head("ant", "bee", "cat", "dog")
    pairs = drawn(model, data, None, grid="auto")
    assert (pairs.grid, pairs.masks, len(pairs)) == (0, None, 4)
    assert pairs.notes[0].endswith(
        "need 4 pictures of distinct classes; found too few in 4 pictures of 3 that the model "
        "tells apart."
    )
    with pytest.raises(DataError, match="distinct classes for a grid of 2×2, found too few"):
        pairs_of(model, data, None, seed=0, template="{}", grid=2)
