"""Pairs read from a manifest: what a picture shows, ids, masks, and what is wrong with a file."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audit.data.errors import DataError
from audit.models.loading import load_model
from tests.data.drawn import drawn as manifest_pairs

COLUMNS = ("image", "label", "x0", "y0", "x1", "y1")
ROWS = [(f"p{i // 2}.png", ("cat", "dog", "owl")[(i // 2 + i) % 3], 2, 1, 9, 5) for i in range(12)]


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture
def manifest(tmp_path):
    """Six pictures of 24 × 24 pixels, each with two objects; rows as given."""

    def write(rows=ROWS, columns=COLUMNS, classes=None):
        for i in range(6):
            pixels = np.full((24, 24, 3), 40 * i, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"p{i}.png")
        pd.DataFrame(rows, columns=list(columns)).to_csv(tmp_path / "manifest.csv", index=False)
        if classes:
            (tmp_path / "classes.csv").write_text(classes)
        return tmp_path

    return write


@pytest.mark.parametrize("seed", range(4))
def test_what_a_picture_shows_does_not_depend_on_the_rows_that_are_drawn(model, manifest, seed):
    folder = manifest()
    whole = manifest_pairs(model, folder, None)
    drawn = manifest_pairs(model, folder, 5, seed=seed)
    assert len(drawn) == 5
    for i, pair in enumerate(drawn.ids):
        same = whole.ids.index(pair)
        picture, other = int(drawn.picture[i]), int(whole.picture[same])
        assert torch.equal(drawn.present[picture], whole.present[other])
        assert torch.equal(drawn.images[picture], whole.images[other])
        assert torch.equal(drawn.masks[i], whole.masks[same])
        assert drawn.labels[i] == whole.labels[same]
    assert whole.present.sum(1).tolist() == [2] * 6


def test_boxes_are_inclusive_and_move_as_the_picture_does(model, manifest):
    pairs = manifest_pairs(model, manifest(), None)
    rows, columns = pairs.masks[0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 5, 2, 9)


def test_a_box_that_reaches_a_little_beyond_its_picture_is_cut_off(model, manifest):
    pairs = manifest_pairs(model, manifest(changed("x1", 26)), None)
    assert pairs.masks[3].nonzero()[:, 1].max() == pairs.masks.shape[-1] - 1


def test_classes_of_a_file_beside_it_are_all_asked_for(model, manifest):
    pairs = manifest_pairs(model, manifest(classes="label\nowl\nfox\ndog\ncat\n"), None)
    assert pairs.classes == ("owl", "fox", "dog", "cat")
    assert [pairs.classes[i] for i in pairs.labels] == [row[1] for row in ROWS]


def changed(column, value):
    row = list(ROWS[3])
    row[COLUMNS.index(column)] = value
    return [*ROWS[:3], tuple(row), *ROWS[4:]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed("x0", None), "a whole number of pixels in column x0 of every row, found '' in"),
        (changed("y1", "wide"), "column y1 of every row, found 'wide' in row 4"),
        (changed("label", None), "a value in column label of every row, found '' in row 4"),
        (changed("image", None), "a value in column image of every row"),
        (changed("x1", 1), "expected a box x0 ≤ x1"),
        (changed("y0", 24), "'p1.png, id 3': .* begins inside the 24×24 pixels of the"),
        (changed("x1", 27), "'p1.png, id 3': expected a box that ends inside the 24×24 pixels"),
        (changed("y1", 4000), "drawn on a larger copy of the picture give that one"),
    ],
)
def test_rows_that_lack_something_are_named(model, manifest, rows, message):
    with pytest.raises(DataError, match=message):
        manifest_pairs(model, manifest(rows), None)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("name\ncat\n", "expected a column label with the names of all classes, found name"),
        ("label\ncat\n", "label 'dog' is not in classes.csv"),
        ('label\ncat\ndog\nowl\n""\n', r"classes.csv: expected a value in column label"),
    ],
)
def test_a_class_file_that_does_not_fit(model, manifest, classes, message):
    with pytest.raises(DataError, match=message):
        manifest_pairs(model, manifest(classes=classes), None)


def of_text(model, manifest, text):
    """Pairs of the pictures of the fixture with other text in the file."""
    folder = manifest()
    (folder / "manifest.csv").write_text(text)
    return manifest_pairs(model, folder, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\np0.png,cat,\np1.png,dog,\n", "cells in a row .* columns, 2, found more"),
        ("id,image,label\np9,p0.png,cat,x\n", "names of columns, 3, found more"),
        ("image;label\np0.png;cat\n", "found image;label; write a comma between cells"),
        ("image,lable\np0.png,cat\n", "found image, lable$"),
        ("Image,label\np0.png,cat\n", "expected a column 'image', found 'Image'; rename it"),
        ("image, label\np0.png,cat\n", "expected a column 'label', found ' label'"),
        ("image,label,X0,y0,x1,y1\np0.png,cat,1,1,2,2\n", "a column 'x0', found 'X0'"),
        ("image,label,xmin,ymin,xmax,ymax\np0.png,cat,1,1,2,2\n", "x1, y1, found xmin, ymin, "),
        ("image,label,Left,Top,Right,Bottom\np0.png,cat,1,1,2,2\n", "y1, found Left, Top, "),
        (
            "image,label,x0,y0,x1,y1\np0.png,cat,0,0,1,1\np1.png,dog,0.0,0,1.0,1\n",
            "x0, y0, x1, y1, found no number but 0 and 1: .* leave the columns out",
        ),
        ("image,label,x,y,w,h\np0.png,cat,0,0,1,1\n", "x, y, w, h, found no number but 0 and 1"),
        (
            "image,label,x,y,w,h\np0.png,cat,2,3,9.5,8\np1.png,dog,0,0.25,0.5,1\n",
            "a number of pixels in column y of every row, found '0.25' in row 2; boxes are",
        ),
        ("image,label\np0.png,  \n", "a value in column label of every row, found '  ' in row 1"),
        ("id,image,label\n,p0.png,cat\n", "a value in column id of every row, found '' in row 1"),
    ],
)
def test_tables_that_would_be_read_as_others_are_refused(model, manifest, text, message):
    with pytest.raises(DataError, match=message):
        of_text(model, manifest, text)


def test_columns_that_are_not_read_are_told(model, manifest):
    text = "image,label,split,mask_value,class_index\np0.png,cat,val,3,1\np1.png,dog,val,3,2\n"
    pairs = of_text(model, manifest, text)
    assert pairs.notes[0] == "Columns of the manifest that are not read: split, mask_value."
    assert manifest_pairs(model, manifest(), None).notes == ()


def test_rows_that_say_the_same_are_one_pair(model, manifest):
    text = "image,label\np0.png,cat\n./p0.png,cat\np0.png,dog\np1.png,cat\n"
    pairs = of_text(model, manifest, text)
    assert pairs.ids == ("0", "2", "3")
    (left,) = pairs.skipped
    assert (left.what, left.reason) == ("id 1", "it says the same as id 0")
    boxes = "p0.png,cat,1,1,5,5\np0.png,cat,1,1,5,5\np0.png,cat,9,9,12,12\n"
    assert of_text(model, manifest, f"image,label,x0,y0,x1,y1\n{boxes}").ids == ("0", "2")


@pytest.mark.parametrize("value", ["3", "3.0", "3e0"])
def test_the_value_of_a_mask_is_a_number_however_written(model, manifest, value):
    levels = np.zeros((24, 24), np.uint8)
    levels[2:8, 2:8], levels[12:20, 12:20] = 3, 7
    folder = manifest([("p0.png", "cat", "m.png", value)], ("image", "label", "mask", "mask_value"))
    Image.fromarray(levels).save(folder / "m.png")
    (mask,) = manifest_pairs(model, folder, None).masks
    assert mask.nonzero().tolist() == np.argwhere(levels == 3).tolist()
    rows = [("p0.png", "cat", "m.png", "1e300")]
    with pytest.raises(DataError, match="a whole number in column mask_value"):
        manifest_pairs(model, manifest(rows, ("image", "label", "mask", "mask_value")), None)


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra parquet")
def test_what_parquet_holds_beside_text_is_refused_and_its_index_is_a_column(model, manifest):
    folder = manifest()
    place = folder / "other.parquet"
    names = ["p0.png", "p1.png"]
    for column, cells in (("label", [["cat"], ["dog"]]), ("image", [{"bytes": b"x"}] * 2)):
        pd.DataFrame({"image": names, "label": ["cat", "dog"], column: cells}).to_parquet(place)
        with pytest.raises(DataError, match=f"expected text in column {column} .* hf:FOLDER"):
            manifest_pairs(model, place, None)
    numbered = pd.DataFrame({"label": ["crane"] * 2, "class_index": [134.0, 517.0]})
    numbered.set_index(pd.Index(names, name="image")).to_parquet(place)
    (folder / "classes.csv").write_text("label,class_index\ncrane,134\ncrane,517\n")
    assert manifest_pairs(model, place, None).ids == ("0", "1")


@pytest.mark.parametrize(("lowest", "masked"), [(23, False), (11, True)])
def test_objects_that_fill_the_picture_are_told_and_alone_are_no_masks(
    model, manifest, lowest, masked
):
    boxes = f"p0.png,cat,0,0,23,23\np1.png,dog,0,0,23,{lowest}\n"
    pairs = of_text(model, manifest, f"image,label,x0,y0,x1,y1\n{boxes}")
    assert (pairs.masks is not None) == masked
    count = "1 pair" if masked else "2 pairs"
    assert any(f"of which no map can miss one: {count}." in note for note in pairs.notes)


def test_ids_are_unique(model, manifest):
    rows = [(*row, "same") for row in ROWS]
    with pytest.raises(DataError, match="expected unique ids, 'same' is twice"):
        manifest_pairs(model, manifest(rows, (*COLUMNS, "id")), None)
