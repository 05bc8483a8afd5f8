"""What lies in folders of data beside what is read: it is listed, or it is refused."""

import numpy as np
import pytest
from PIL import Image

from audit.data.errors import DataError
from audit.models.loading import load_model
from tests.data.drawn import drawn


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), "white").save(path)


def test_what_lies_beside_the_folders_of_classes_is_listed(model, tmp_path):
    for name in ("cat/a.png", ".cache/a.png", "b.png", "dog/.hidden/a.png"):
        picture(tmp_path / name)
    pairs = drawn(model, f"folder:{tmp_path}", None)
    assert (pairs.classes, pairs.ids) == (("cat",), ("cat/a",))
    assert {one.what: one.reason for one in pairs.skipped} == {
        ".cache": "it lies in no folder of a class",
        "b.png": "it lies in no folder of a class",
        "dog/.hidden/a.png": "a hidden file",
        "dog": "a folder without pictures, and no class",
    }


def test_splits_are_no_classes(model, tmp_path):
    for name in ("train/cat/a.png", "val/cat/a.png"):
        picture(tmp_path / name)
    with pytest.raises(DataError, match=r"found the splits train, val; give .* folder:.*val$"):
        drawn(model, f"folder:{tmp_path}", None)


def test_imagenet_s_keeps_ids_unique_and_leaves_out_what_is_no_mask_of_its(model, tmp_path):
    synsets = [f"n{i:08d}" for i in range(50)]
    for synset in synsets:
        (tmp_path / "validation-segmentation" / synset).mkdir(parents=True)
    for number, level in ((0, 1), (1, 2), (2, 51)):
        picture(tmp_path / "validation" / synsets[number] / "a.JPEG")
        colors = np.zeros((24, 24, 3), np.uint8)
        colors[4:12, 4:12, 0] = level
        Image.fromarray(colors).save(
            tmp_path / "validation-segmentation" / synsets[number] / "a.png"
        )
    (tmp_path / "validation" / synsets[0] / "notes.txt").write_text("x")
    (tmp_path / "validation" / "n9").mkdir()
    pairs = drawn(model, f"imagenet-s:{tmp_path}", None)
    assert pairs.ids == (f"{synsets[0]}/a.JPEG", f"{synsets[1]}/a.JPEG")
    left = {one.what: one.reason for one in pairs.skipped}
    assert (
        "classes from 1 to 50 in its mask, as R + 256 G, found 51" in left[f"{synsets[2]}/a.JPEG"]
    )
    assert left["n9"] == "there is no folder of its name in validation-segmentation"
    assert f"{synsets[0]}/notes.txt" in left


def test_of_several_years_of_voc_one_is_to_be_named_and_reasons_are_told(model, tmp_path):
    for year in ("VOC2007", "VOC2012"):
        picture(tmp_path / year / "JPEGImages" / "a.jpg")
        picture(tmp_path / year / "SegmentationClass" / "a.png")
    with pytest.raises(DataError, match=r"found .*VOC2007, .*VOC2012; give the folder of one year"):
        drawn(model, f"voc:{tmp_path}", None)
    with pytest.raises(DataError, match=r"found none; 1 left out, first 'a.png': .* the mode RGB"):
        drawn(model, f"voc:{tmp_path / 'VOC2012'}", None)
