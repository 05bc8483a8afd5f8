import hashlib

import numpy as np
import pytest

from audit.data import scenes
from audit.data.scene_difficulty import HARDEST
from audit.data.scene_shapes import FILL_PATTERNS, OUTLINE_MASKS, PERIOD
from audit.data.scenes import CLASSES, SIZE, TEMPLATES, Scene, draw_scene, draw_scenes

# Digests of the first 64 test scenes of seed 0, easy and graded. A change here makes every
# recorded figure on the scenes, and the bundled weights, those of other pictures.
EASY = "3ae49c5e91464c2e7399dd7aaa5fd757b8a6fd312bc5b530ef3842505f88ce4d"
GRADED = "79a640b6283e26c660e2a794859dee758a29824083cfc96c55b7c2ff12463334"


def digest(drawn: list[Scene]) -> str:
    total = hashlib.sha256()
    for scene in drawn:
        total.update(scene.image.tobytes())
        total.update(scene.masks.tobytes())
        total.update(repr(scene.labels).encode())
        total.update(scene.caption.encode())
    return total.hexdigest()


def test_pixels_are_the_same_bytes_on_every_machine() -> None:
    assert digest(draw_scenes(64, level=0)) == EASY
    assert digest(draw_scenes(64)) == GRADED


def test_a_quarter_is_easy_and_the_others_spread_over_all_levels() -> None:
    levels = np.array([scene.level for scene in draw_scenes(800, split="train")])
    assert 160 <= (levels == 0).sum() <= 240
    assert np.bincount(levels[levels > 0] - 1, minlength=HARDEST).reshape(4, 25).sum(1).min() >= 115


def test_levels_of_tests_lie_higher() -> None:
    """The highest of three even draws: at most half the top in one case of eight."""
    levels = np.array([scene.level for scene in draw_scenes(800)])
    assert 160 <= (levels == 0).sum() <= 240
    graded = levels[levels > 0]
    assert 0.08 <= (graded <= HARDEST // 2).mean() <= 0.18


def test_a_level_that_is_given_is_drawn_like_one_that_is_found() -> None:
    for index in range(6):
        scene = draw_scene(index)
        again = draw_scene(index, level=scene.level)
        assert digest([scene]) == digest([again])
        assert again.level == scene.level


def test_levels_make_objects_smaller_fainter_and_noisier() -> None:
    easy, hard = ([draw_scene(i, level=level) for i in range(150)] for level in (0, HARDEST))
    area = [np.mean([scene.masks.sum() for scene in drawn]) for drawn in (easy, hard)]
    assert area[1] < 0.75 * area[0]
    steps = [
        np.mean([np.abs(np.diff(scene.image.astype(int), axis=1)).mean() for scene in drawn])
        for drawn in (easy, hard)
    ]
    assert steps[1] > 1.3 * steps[0]


def test_distractors_have_no_class_and_lie_below_the_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Painting them in other colors moves no mask, and shows where they lie."""
    drawn = [draw_scene(i, level=HARDEST) for i in range(30)]
    monkeypatch.setattr(scenes, "OTHER_RGB", np.zeros_like(scenes.OTHER_RGB))
    changed = 0
    for index, scene in enumerate(drawn):
        again = draw_scene(index, level=HARDEST)
        assert (again.masks == scene.masks).all()
        changed += (again.image != scene.image).any(axis=2)[~scene.masks.any(axis=0)].sum()
    assert changed > 30 * 100


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


@pytest.mark.parametrize(("level", "least"), [(0, 100), (None, 20)])
def test_masks_are_disjoint_and_never_small(level: int | None, least: int) -> None:
    for scene in draw_scenes(300, level=level):
        assert scene.masks.sum(axis=0).max() == 1
        assert scene.masks.sum(axis=(1, 2)).min() >= least


def test_masks_are_exactly_the_painted_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paint over: with every object left out, the picture differs inside the masks only."""
    drawn = draw_scenes(40, level=0)
    monkeypatch.setattr(scenes, "paint", lambda bits, *_: bits.random_raw(5))
    for index, scene in enumerate(drawn):
        changed = (scene.image != draw_scene(index, level=0).image).any(axis=2)
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


@pytest.mark.parametrize("outline", OUTLINE_MASKS)
@pytest.mark.parametrize("radius", [9, 13, 21])
def test_outlines_stay_inside_their_circle(outline, radius: int) -> None:
    y, x = np.indices((SIZE, SIZE)) - SIZE // 2
    mask = outline(y, x, radius)
    assert mask.sum() > 0.4 * radius**2
    assert (y**2 + x**2)[mask].max() <= (radius + 1) ** 2


@pytest.mark.parametrize("fill", FILL_PATTERNS[1:])
def test_patterned_fills_repeat_and_darken_about_half(fill) -> None:
    y, x = np.indices((24, 24))
    dark = fill(y, x)
    assert 0.3 < dark.mean() < 0.6
    assert (dark == fill(y + PERIOD, x)).all()
    assert (dark == fill(y, x + PERIOD)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": -1},
        {"index": 2**32},
        {"seed": -1},
        {"split": "valid"},
        {"objects": 0},
        {"level": 101},
    ],
)
def test_arguments_out_of_range_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        draw_scene(**{"index": 0, **wrong})


def test_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="count"):
        draw_scenes(-1)
