"""Shapes of COCO: those that pycocotools reads, and those that it must not be given."""

import numpy as np
import pytest

from audit.data.coco_masks import instance_mask
from audit.data.upright import PictureError

coded = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numpy's, in pycocotools
SIZE = (20, 30)
TRIANGLE = [2.5, 3, 25, 4, 10.2, 18]


def blobs(seed):
    return np.random.default_rng(seed).random(SIZE) < 0.3


def as_text(mask):
    return coded.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_in_text_and_in_numbers_are_the_same_mask(seed):
    mask = blobs(seed)
    changes = np.flatnonzero(np.diff(np.r_[0, mask.flatten(order="F").astype(int), 2]))
    counts = np.diff(np.r_[0, changes]).tolist()
    for written in (as_text(mask), counts):
        assert np.array_equal(instance_mask([{"counts": written, "size": [*SIZE]}], SIZE), mask)


def test_several_shapes_are_united_and_a_flat_polygon_is_one():
    mask = blobs(0)
    own = coded.decode(coded.frPyObjects([TRIANGLE], *SIZE))[..., 0] > 0
    runs = {"counts": as_text(mask), "size": [*SIZE]}
    assert np.array_equal(instance_mask([TRIANGLE, runs], SIZE), own | mask)
    assert np.array_equal(instance_mask([[TRIANGLE]], SIZE), own)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (None, "polygons or run lengths as its segmentation, found None"),
        ([], r"as its segmentation, found \[\]"),
        ([[1, 2, 3, 4]], "polygons of 3 or more corners"),
        ([[*TRIANGLE, 1]], "polygons of 3 or more corners"),
        ([[*TRIANGLE[:5], "1"]], "polygons of 3 or more corners"),
        ([[*TRIANGLE[:5], float("nan")]], "near its 30×20 pixels, found nan"),
        ([[*TRIANGLE[:5], 1e12]], "near its 30×20 pixels, found 1000000000000.0"),
        ([[32, 22, 40, 22, 40, 28]], "one without a pixel"),
        ({"counts": [600]}, r"of the size \[20, 30\], found None"),
        ({"counts": [0, 1], "size": [1, 1]}, r"of the size \[20, 30\], found \[1, 1\]"),
        ({"counts": [100, 20], "size": [20, 30]}, "whose sum is 600, found a sum of 120"),
        ({"counts": [-5, 605], "size": [20, 30]}, "whose sum is 600, found"),
        ({"counts": as_text(blobs(1))[:-1], "size": [20, 30]}, "run lengths"),
        ({"counts": "PPPP", "size": [20, 30]}, "cut off"),
        ({"counts": "~", "size": [20, 30]}, "run lengths as text, found '~'"),
        ({"size": [20, 30]}, "whose sum is 600, found None"),
    ],
)
def test_what_pycocotools_must_not_be_given_is_refused(shape, words):
    with pytest.raises(PictureError, match=words):
        instance_mask([shape], SIZE)


def test_sizes_that_are_no_pictures_are_refused():
    for size in ((0, 5), (-3, 5), (100_000, 100_000)):
        with pytest.raises(PictureError, match="expected at most 64,000,000 pixels"):
            instance_mask([TRIANGLE], size)
