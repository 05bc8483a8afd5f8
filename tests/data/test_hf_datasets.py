"""What the library datasets saved to disk: labels, masks, and what is no single label."""

import io

import numpy as np
import pytest
from PIL import Image

from audit.data.errors import DataError
from audit.models.loading import load_model
from tests.data.drawn import drawn

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, while it saves


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture
def saved(tmp_path):
    """A name of data with some columns, each its kind and its cells."""

    def save(**columns):
        features = datasets.Features({name: kind for name, (kind, _) in columns.items()})
        cells = {name: cells for name, (_, cells) in columns.items()}
        table = datasets.table.InMemoryTable(pa.table(cells, schema=features.arrow_schema))
        info = datasets.DatasetInfo(features=features)
        rows = datasets.Dataset(table, info=info, fingerprint="made-here")
        rows.save_to_disk(tmp_path / "saved")
        return f"hf:{tmp_path / 'saved'}"

    return save


def files(*pictures):
    """Pictures as cells."""
    found = []
    for picture in pictures:
        content = io.BytesIO()
        picture.save(content, "PNG")
        found.append({"bytes": content.getvalue(), "path": None})
    return datasets.Image(), found


def photos(count=3, level=200):
    return files(*(Image.new("RGB", (24, 24), (level, 40 * i, 0)) for i in range(count)))


def text(*cells):
    return datasets.Value("string"), list(cells)


def test_class_labels_and_masks(model, saved, tmp_path):
    levels = np.zeros((24, 24), np.uint8)
    levels[4:12, 4:12] = 1
    labels = datasets.ClassLabel(names=["cat", "dog"]), [1, 0, -1]
    name = saved(image=photos(), label=labels, mask=files(*[Image.fromarray(levels)] * 3))
    pairs = drawn(model, name, None)
    assert (pairs.classes, pairs.labels.tolist()) == (("cat", "dog"), [1, 0])
    assert all(np.array_equal(mask, levels > 0) for mask in pairs.masks.numpy())
    assert [(one.what, one.reason) for one in pairs.skipped] == [("2", "it has no label")]
    with pytest.raises(DataError, match="expected a folder of save_to_disk"):
        drawn(model, f"hf:{tmp_path}", None)


def test_the_column_image_is_taken_and_what_is_not_read_is_told(model, saved):
    name = saved(
        depth=photos(level=0), image=photos(), label=text("a", None, " "), source=text(*"xyz")
    )
    pairs = drawn(model, name, None)
    assert pairs.notes == ("Columns of the data that are not read: depth, source.",)
    assert [(one.what, one.reason) for one in pairs.skipped] == [
        ("1", "it has no label"),
        ("2", "it has no label"),
    ]
    only = drawn(model, saved(image=photos(), label=text(*"abc")), None)
    assert np.array_equal(pairs.images[0], only.images[0])


@pytest.mark.parametrize(
    ("column", "kind", "cell", "words"),
    [
        ("label", [datasets.Value("int64")], [1, 2], r"one label .* of every row, found \[1, 2\]"),
        ("caption", [datasets.Value("string")], ["a"], r"one label in column caption .* \['a'\]"),
        ("label", {"name": datasets.Value("string")}, {"name": "a"}, "found {'name': 'a'}"),
        ("mask", [datasets.Value("int64")], [1, 2], "expected pictures in the column mask, found"),
    ],
)
def test_lists_of_labels_and_masks_that_are_no_pictures_are_refused(
    model, saved, column, kind, cell, words
):
    columns = {"image": photos(), "text": text(*"abc"), column: (kind, [cell] * 3)}
    if column != "mask":
        del columns["text"]
    with pytest.raises(DataError, match=words):
        drawn(model, saved(**columns), None)
