import hashlib

import numpy as np
import pytest

from audit.data import scenes
from audit.data.scenes import CLASSES, SIZE, TEMPLATES, Scene, draw_scene, draw_scenes

# Digest of the first 64 test scenes of seed 0. A change here makes every recorded figure on
# the scenes, and the bundled weights, those of other pictures.
PINNED = "3ae49c5e91464c2e7399dd7aaa5fd757b8a6fd312bc5b530ef3842505f88ce4d"


def digest(drawn: list[Scene]) -> str:
    total = hashlib.sha256()
    for scene in drawn:
        total.update(scene.image.tobytes())
        total.update(scene.masks.tobytes())
        total.update(repr(scene.labels).encode())
        total.update(scene.caption.encode())
    return total.hexdigest()


def test_pixels_are_the_same_bytes_on_every_machine() -> None:
    assert digest(draw_scenes(64)) == PINNED


def test_classes_are_color_by_fill() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 36
    assert CLASSES[2] == "red striped shape"
    assert TEMPLATES[0].format(CLASSES[35]) == "a picture of a white dotted shape."


def test_shapes_and_dtypes() -> None:
    scene = draw_scene(3, objects=2)
    assert scene.image.shape == (SIZE, SIZE, 3)
    assert scene.image.dtype == np.uint8
    assert scene.masks.shape == (2, SIZE, SIZE)
    assert scene.masks.dtype == np.bool_


def test_masks_are_disjoint_and_never_small() -> None:
    for scene in draw_scenes(300):
        assert scene.masks.sum(axis=0).max() == 1
        assert scene.masks.sum(axis=(1, 2)).min() >= 100


def test_masks_are_exactly_the_painted_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paint over: with every object left out, the picture differs inside the masks only."""
    drawn = draw_scenes(40)
    monkeypatch.setattr(scenes, "paint", lambda bits, *_: bits.random_raw(5))
    for index, scene in enumerate(drawn):
        changed = (scene.image != draw_scene(index).image).any(axis=2)
        visible = scene.masks.any(axis=0)
        assert not changed[~visible].any()
        assert changed[visible].mean() > 0.95


def test_labels_are_distinct_and_named_in_the_caption() -> None:
    for scene in draw_scenes(300):
        assert len(set(scene.labels)) == len(scene.labels) == len(scene.masks)
        positions = [scene.caption.index(CLASSES[label]) for label in scene.labels]
        assert positions == sorted(positions)


def test_caption_of_each_number_of_objects() -> None:
    one, two, three = (draw_scene(0, objects=n) for n in (1, 2, 3))
    assert one.caption == f"a picture of a {CLASSES[one.labels[0]]}."
    assert two.caption.count(" and a ") == 1
    assert three.caption.count(", a ") == three.caption.count(" and a ") == 1


def test_every_class_and_number_of_objects_is_drawn() -> None:
    drawn = draw_scenes(600)
    counts = np.bincount([label for scene in drawn for label in scene.labels], minlength=36)
    assert counts.min() >= 10
    objects = np.bincount([len(scene.labels) for scene in drawn], minlength=4)
    assert objects[0] == 0
    assert objects[1:].min() >= 150


def test_scene_alone_equals_scene_in_batch() -> None:
    batch = draw_scenes(12, seed=5, split="train", objects=3)
    assert digest([draw_scene(11, seed=5, split="train", objects=3)]) == digest(batch[11:])


def test_splits_seeds_and_indices_differ() -> None:
    keys = [(i, seed, split) for i in range(4) for seed in range(4) for split in scenes.SPLITS]
    images = {draw_scene(i, seed=seed, split=split).image.tobytes() for i, seed, split in keys}
    assert len(images) == len(keys)


@pytest.mark.parametrize("outline", scenes.OUTLINE_MASKS)
@pytest.mark.parametrize("radius", [9, 13, 21])
def test_outlines_stay_inside_their_circle(outline, radius: int) -> None:
    y, x = np.indices((SIZE, SIZE)) - SIZE // 2
    mask = outline(y, x, radius)
    assert mask.sum() > 0.4 * radius**2
    assert (y**2 + x**2)[mask].max() <= (radius + 1) ** 2


@pytest.mark.parametrize("fill", scenes.FILL_PATTERNS[1:])
def test_patterned_fills_repeat_and_darken_about_half(fill) -> None:
    y, x = np.indices((24, 24))
    dark = fill(y, x)
    assert 0.3 < dark.mean() < 0.6
    assert (dark == fill(y + scenes.PERIOD, x)).all()
    assert (dark == fill(y, x + scenes.PERIOD)).all()


@pytest.mark.parametrize(
    "wrong",
    [{"index": -1}, {"index": 2**32}, {"seed": -1}, {"split": "valid"}, {"objects": 0}],
)
def test_arguments_out_of_range_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        draw_scene(**{"index": 0, **wrong})


def test_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="count"):
        draw_scenes(-1)
