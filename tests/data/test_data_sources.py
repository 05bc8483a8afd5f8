"""Sources of data: what each folder means, its masks, and what is left out."""

import json
import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audit.data import data_plugins
from audit.data.class_targets import templates_of
from audit.data.data_sources import SOURCES, source_of
from audit.data.errors import DataError
from audit.data.pascal_voc import CLASSES
from audit.models.loading import load_model
from tests.data.drawn import drawn

COCO = Path(__file__).parents[3] / "shared" / "data" / "coco"


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def picture(path, color="white", size=(24, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def boxed(levels, box=(4, 4, 12, 12), value=1):
    x0, y0, x1, y1 = box
    levels[y0:y1, x0:x1] = value
    return levels


def squares(pairs):
    """The box of each mask, which fills it."""
    found = []
    for mask in pairs.masks:
        rows, columns = mask.numpy().nonzero()
        found.append((int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())))
        assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    return found


def test_names_mean_their_sources():
    named = {f"{s.prefix}somewhere": s.key for s in SOURCES.values() if s.prefix}
    named |= {"photos": "manifest", "photos.csv": "manifest", "C:/photos": "manifest"}
    assert {name: source_of(name).key for name in named} == named


def test_a_folder_for_each_class(model, tmp_path):
    for name in ("cat/a.png", "cat/deep/a.jpg", "dog/a.png", "dog/a.jpg"):
        picture(tmp_path / name)
    (tmp_path / "dog" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "cut.png").write_bytes(b"\x89PNG")
    pairs = drawn(model, f"folder:{tmp_path}", None)
    assert pairs.classes == ("cat", "dog")
    assert pairs.ids == ("cat/a", "cat/deep/a", "dog/a.jpg", "dog/a.png")
    assert [one.what for one in pairs.skipped] == ["dog/notes.txt", "dog/cut.png"]
    with pytest.raises(DataError, match="one folder of pictures for each class, found 0 folders"):
        drawn(model, f"folder:{tmp_path / 'dog'}", None)


def test_folders_of_synsets_have_names_that_tell_cranes_apart(model, tmp_path):
    for synset in ("n02012849", "n03126707"):
        picture(tmp_path / synset / "a.png")
    pairs = drawn(model, f"folder:{tmp_path}", None)
    assert pairs.classes == ("crane bird", "construction crane")
    data = source_of("folder:").load(f"folder:{tmp_path}")
    assert data.known_as == ("n02012849", "n03126707")


def instances(tmp_path, annotations):
    picture(tmp_path / "val" / "1.png")
    picture(tmp_path / "val" / "2.png")
    document = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 24, "width": 24} for i in (1, 2)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 9, "name": "ox"}],
        "annotations": annotations,
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(document))


def rectangle(x0, y0, x1, y1):
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def test_instances_of_a_class_are_one_mask_and_crowds_are_among_them(model, tmp_path):
    pytest.importorskip("pycocotools")
    runs = [24 * 12 + 4, 8, *[16, 8] * 7]
    runs.append(24 * 24 - sum(runs))
    crowd = {"counts": runs, "size": [24, 24]}
    instances(
        tmp_path,
        [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": rectangle(4, 4, 12, 12)},
            {"id": 2, "image_id": 1, "category_id": 7, "segmentation": crowd, "iscrowd": 1},
            {"id": 3, "image_id": 1, "category_id": 3, "segmentation": rectangle(0, 0, 3, 3)},
            {"id": 4, "image_id": 1, "category_id": 9, "segmentation": "what"},
        ],
    )
    pairs = drawn(model, f"coco:{tmp_path}", None)
    assert pairs.classes == ("dog", "cat", "ox")
    assert dict(zip(pairs.ids, squares(pairs), strict=True)) == {
        "1-dog": (0, 0, 2, 2),
        "1-cat": (4, 4, 19, 11),
    }
    assert pairs.present.tolist() == [[True, True, True]]
    left = {one.what: one.reason for one in pairs.skipped}
    assert left["2.png"] == "nothing is annotated in it"
    assert "expected polygons or run lengths" in left["1.png, id 1-ox"]


def changed(key, value):
    """The text of a file of COCO with another table."""
    document = {
        "images": [{"id": 1, "file_name": "a"}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"image_id": 1, "category_id": 1}],
    }
    return json.dumps(document | {key: value})


OF_ANOTHER_PICTURE = changed("annotations", [{"image_id": 2, "category_id": 1}])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable as JSON"),
        ("[]", "found no images or annotations or categories"),
        (OF_ANOTHER_PICTURE, "found image_id 2"),
        (changed("images", ["a"]), "entry 0 of images, found no id or file_name"),
        (changed("images", [{"id": 1}]), "entry 0 of images, found no file_name"),
        (changed("images", [{"id": 1, "file_name": "a", "height": "2"}]), "found no height"),
        (changed("images", [{"id": 1, "file_name": name} for name in "ab"]), "1 is twice"),
        (changed("categories", [{"id": 1}]), "entry 0 of categories, found no name"),
        (changed("annotations", [{"image_id": [1]}]), "annotations, found no image_id"),
        (changed("annotations", [{"image_id": 1, "category_id": []}]), r"category_id \[\]"),
        (changed("annotations", [{"image_id": 1, "segments_info": None}]), "expected segments"),
    ],
)
def test_files_that_are_not_cocos_are_named(model, tmp_path, content, words):
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(DataError, match=words):
        drawn(model, f"coco:{tmp_path}", None)
    (tmp_path / "instances_b.json").write_text(content)
    with pytest.raises(DataError, match=r"instances.json, .*instances_b.json; give coco:FILE.json"):
        drawn(model, f"coco:{tmp_path}", None)


def test_categories_of_one_name_have_ids_of_their_own_and_the_first_reason_is_told(model, tmp_path):
    pytest.importorskip("pycocotools")
    picture(tmp_path / "1.png")
    document = {
        "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
        "categories": [{"id": 7, "name": "cat"}, {"id": "b", "name": "cat"}],
        "annotations": [
            {"image_id": 1, "category_id": one, "segmentation": rectangle(4, 4, 12, 12)}
            for one in (7, "b")
        ],
    }
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(document), encoding="utf-8-sig")
    pairs = drawn(model, f"coco:{tmp_path}", None)
    assert sorted(pairs.ids) == ["1-cat (7)", "1-cat (b)"]
    assert squares(pairs) == [(4, 4, 11, 11)] * 2
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"2 left out, first '1.png': no such file"):
        drawn(model, f"coco:{tmp_path}", None)


def test_segments_of_a_panoptic_file(model, tmp_path):
    picture(tmp_path / "images" / "1.png")
    ids = boxed(boxed(np.zeros((24, 24), np.int64), value=70_000), (14, 14, 20, 20), 260)
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], -1).astype(np.uint8)
    (tmp_path / "panoptic_val").mkdir()
    Image.fromarray(colors).save(tmp_path / "panoptic_val" / "1.png")
    segments = [{"id": 70_000, "category_id": 1}, {"id": 260, "category_id": 2}]
    document = {
        "images": [{"id": 1, "file_name": "1.png", "height": 24, "width": 24}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "sky"}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": segments}],
    }
    (tmp_path / "panoptic_val.json").write_text(json.dumps(document))
    pairs = drawn(model, f"coco:{tmp_path}", None)
    assert squares(pairs) == [(4, 4, 11, 11), (14, 14, 19, 19)]


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numpy's, in pycocotools
@pytest.mark.skipif(not COCO.is_dir(), reason="needs the folder ../shared/data")
def test_cocos_own_photographs_have_the_masks_of_pycocotools():
    coco = pytest.importorskip("pycocotools.coco").COCO(str(COCO / "instances.json"))
    data = source_of("coco:").load(f"coco:{COCO}")
    assert len(coco.imgs) == 40
    assert (len(data.table), data.table["class"].nunique(), len(data.classes)) == (122, 52, 80)
    masks = 0
    for one in data.read(data.table):
        for row, mask in one.masks.items():
            number = int(data.table["id"][row].split("-")[0])
            label = data.classes[data.table["class"][row]]
            own = coco.getAnnIds(imgIds=[number], catIds=coco.getCatIds(catNms=[label]))
            wanted = np.any([coco.annToMask(a) for a in coco.loadAnns(own)], axis=0)
            assert np.array_equal(np.asarray(mask) > 0, wanted)
            masks += 1
    assert masks == 122


def test_imagenet_s_takes_classes_from_the_colors(model, tmp_path):
    synsets = [f"n{i:08d}" for i in range(300)]
    for synset in synsets:
        (tmp_path / "validation-segmentation" / synset).mkdir(parents=True)
    for number in (0, 299):
        name = f"{synsets[number]}/a{number}"
        picture(tmp_path / "validation" / f"{name}.JPEG")
        ids = boxed(np.full((24, 24), 1000), value=number + 1)
        ids = boxed(ids, (16, 16, 20, 20), 5)
        colors = np.stack([ids % 256, ids // 256, ids * 0], -1).astype(np.uint8)
        Image.fromarray(colors).save(tmp_path / "validation-segmentation" / f"{name}.png")
    picture(tmp_path / "validation" / synsets[4] / "bare.JPEG")
    pairs = drawn(model, f"imagenet-s:{tmp_path}", None)
    assert squares(pairs) == [(4, 4, 11, 11)] * 2
    assert pairs.labels.tolist() == [0, 299]
    assert [row.nonzero().flatten().tolist() for row in pairs.present] == [[0, 4], [4, 299]]
    assert [one.what for one in pairs.skipped] == [f"{synsets[4]}/bare.JPEG"]
    (tmp_path / "validation-segmentation" / synsets[9]).rmdir()
    with pytest.raises(DataError, match=r"expected 50, 300, 919 classes .* found 299"):
        drawn(model, f"imagenet-s:{tmp_path}", None)


def test_voc_takes_classes_from_the_palette_and_leaves_255_open(model, tmp_path):
    levels = boxed(np.zeros((24, 24), np.uint8), (2, 2, 22, 22), 255)
    levels = boxed(boxed(levels, value=15), (14, 14, 20, 20), 8)
    root = tmp_path / "VOCdevkit" / "VOC2012"
    picture(root / "JPEGImages" / "2007_1.jpg")
    stored = Image.fromarray(levels).convert("P")
    stored.putdata(levels.flatten().tolist())
    (root / "SegmentationClass").mkdir()
    stored.save(root / "SegmentationClass" / "2007_1.png")
    picture(root / "SegmentationClass" / "2007_2.png")
    pairs = drawn(model, f"voc:{tmp_path}", None)
    assert pairs.ids == ("2007_1-cat", "2007_1-person")
    assert squares(pairs) == [(14, 14, 19, 19), (4, 4, 11, 11)]
    assert len(pairs.classes) == len(CLASSES) == 20
    assert "potted plant" in pairs.classes
    assert [one.what for one in pairs.skipped] == ["2007_2.png"]


def test_pets_take_breeds_from_their_names_and_outlines_for_the_pet(model, tmp_path):
    for name in ("Great_Dane_1", "Abyssinian_100"):
        picture(tmp_path / "images" / f"{name}.jpg")
        levels = boxed(np.full((24, 24), 2, np.uint8), value=3)
        place = tmp_path / "annotations" / "trimaps" / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(boxed(levels, (5, 5, 11, 11))).save(place)
    (tmp_path / "annotations" / "trimaps" / "._Great_Dane_1.png").touch()
    (tmp_path / "images" / "Abyssinian_100.mat").touch()
    picture(tmp_path / "images" / "pug_1.JPG")
    picture(tmp_path / "annotations" / "trimaps" / "pug_1.png")
    picture(tmp_path / "images" / "_1.jpg")
    pairs = drawn(model, f"pets:{tmp_path}", None)
    assert pairs.classes == ("Abyssinian", "Great Dane", "pug")
    assert squares(pairs) == [(4, 4, 11, 11)] * 2
    left = {one.what: one.reason for one in pairs.skipped}
    assert left["_1.jpg"] == "its name has no breed"
    assert left["Abyssinian_100.mat"] == "'.mat' is no picture's ending"
    assert "found the mode RGB" in left["pug_1.JPG, id pug_1"]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra parquet")
def test_a_manifest_of_parquet_is_that_of_csv(model, tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    table = pd.DataFrame({"image": ["a.png", "b.png"], "label": ["007", "None"], "x0": [1, 2]})
    table = table.assign(y0=[1, 2], x1=[9, 8], y1=[9, 8])
    table.to_parquet(tmp_path / "manifest.parquet")
    table.to_csv(tmp_path / "other.csv", index=False)
    one, other = (drawn(model, tmp_path / n, None) for n in ("manifest.parquet", "other.csv"))
    assert one.sha256 == other.sha256
    assert one.classes == ("007", "None")


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        ("source_of('folder:').load('folder:' + here)", None),
        ("7", r"returns LabelledPictures .* got int"),
        ("1 / 0", "its function raised ZeroDivisionError"),
    ],
)
def test_an_entry_point_is_a_source(model, tmp_path, monkeypatch, gives, words):
    code = f"from audit.data.data_sources import source_of\nhere = {str(tmp_path)!r}\n"
    (tmp_path / "data_of_ours.py").write_text(f"{code}def load():\n    return {gives}\n")
    picture(tmp_path / "cat" / "a.png")
    point = EntryPoint("ours", "data_of_ours:load", "audit.data")
    monkeypatch.setattr(data_plugins, "plugins", lambda: {"ours": point})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "data_of_ours", raising=False)
    if words is None:
        assert drawn(model, "ours", None).ids == ("cat/a",)
        return
    with pytest.raises(DataError, match=words):
        drawn(model, "ours", None)


def test_eighty_templates_are_averaged_and_the_first_is_the_text_of_a_pair(model, tmp_path):
    picture(tmp_path / "cat" / "a.png")
    picture(tmp_path / "dog" / "a.png", "black")
    assert len(templates_of("openai")) == len(set(templates_of("openai"))) == 80
    pairs = drawn(model, f"folder:{tmp_path}", None, template="openai")
    plain = drawn(model, f"folder:{tmp_path}", None)
    assert pairs.averaged.shape[:2] == (80, 2)
    assert torch.equal(pairs.averaged[0], pairs.targets)
    assert torch.equal(pairs.targets, plain.targets)
    assert pairs.text(0) == "a photo of a cat."
    assert pairs.sha256 != plain.sha256


def test_objects_out_of_sight_are_left_out_and_others_drawn(tmp_path):
    from torchvision import transforms

    from audit.models.python_object import model_of

    steps = transforms.Compose([transforms.CenterCrop(8), transforms.ToTensor()])
    net = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2)
    )
    picture(tmp_path / "a.png")
    rows = ["image,label,x0,y0,x1,y1", "a.png,cat,10,10,13,13", "a.png,dog,0,0,5,5"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    pairs = drawn(model_of(net, steps, ["cat", "dog"]), tmp_path, None)
    assert pairs.ids == ("0",)
    (left,) = pairs.skipped
    assert left.what == "1"
    assert "outside of what the model's preprocessing leaves" in left.reason
