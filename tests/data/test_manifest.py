"""Pairs read from a manifest: what a picture shows, ids, masks, and what is wrong with a file."""

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
    ],
)
def test_a_class_file_that_does_not_fit(model, manifest, classes, message):
    with pytest.raises(DataError, match=message):
        manifest_pairs(model, manifest(classes=classes), None)


def test_ids_are_unique(model, manifest):
    rows = [(*row, "same") for row in ROWS]
    with pytest.raises(DataError, match="expected unique ids, 'same' is twice"):
        manifest_pairs(model, manifest(rows, (*COLUMNS, "id")), None)
