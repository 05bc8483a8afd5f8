"""Tables of labelled pictures: what an entry point may give, and what is unsound."""

from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from audit.data import data_sources
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures
from audit.data.upright import OpenedPicture
from audit.models.loading import load_model
from tests.data.drawn import drawn


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def ours(**other):
    """What an entry point may give: two pictures, without files."""
    content = {
        "name": "ours",
        "table": pd.DataFrame({"id": [5, 6], "image": ["a", "b"], "class": [0, 1]}, index=[7, 3]),
        "classes": ("cat", "dog"),
        "open": lambda _: OpenedPicture(Image.new("RGB", (24, 24))),
    }
    return LabelledPictures(**content | other)


def test_rows_of_an_entry_point_are_numbered_and_their_ids_text(model, monkeypatch):
    source = SimpleNamespace(load=lambda *_, **__: ours())
    monkeypatch.setattr(data_sources, "source_of", lambda _: source)
    assert drawn(model, "ours", None).ids == ("5", "6")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"id": ["a"], "class": [0]}, "columns id, image and class, found no image"),
        ({"id": ["a", "a"], "image": ["a", "b"], "class": [0, 1]}, "unique ids, 'a' is twice"),
        (
            {"id": ["a"], "image": ["a"], "class": [2]},
            "from 0 to 1, .* found 2 in the row of id 'a'",
        ),
        ({"id": ["a"], "image": ["a"], "class": [None]}, "found None in the row of id 'a'"),
    ],
)
def test_tables_that_are_unsound_are_refused(table, words):
    with pytest.raises(DataError, match=words):
        ours(table=pd.DataFrame(table)).sound()


def test_a_picture_that_shows_a_class_without_a_name_is_left_out():
    data = ours(shows=lambda name: (5,) if name == "a" else (1,)).sound()
    one, other = data.read(data.table)
    assert one.opened is None
    assert "classes from 0 to 1, found 5" in one.wrong[0].reason
    assert other.also == (1,)
