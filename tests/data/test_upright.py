"""Kinds of pictures and masks: what files mean is kept, told, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from audit.data.errors import DataError
from audit.data.mask_files import object_in
from audit.data.picture_files import open_picture
from audit.data.upright import ANIMATED, DEEP, FLOATING, INKS, TRANSPARENT, TURNED, PictureError
from audit.models.loading import load_model
from audit.models.python_object import model_of
from tests.data.drawn import drawn

RAMP = np.linspace(0, 255, 20 * 30).reshape(20, 30)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return open_picture(tmp_path / name)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    deep = Image.fromarray((RAMP * 257).astype(np.uint16))
    opened = saved(tmp_path, deep)
    assert opened.told == (DEEP,)
    assert np.abs(np.asarray(opened.picture)[..., 1] - RAMP).max() <= 1


def test_floating_point_numbers_from_0_to_1_are_scaled(tmp_path):
    opened = saved(tmp_path, Image.fromarray((RAMP / 255).astype(np.float32)), "a.tiff")
    assert opened.told == (FLOATING,)
    assert np.abs(np.asarray(opened.picture)[..., 1] - RAMP).max() <= 1


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        (RAMP.astype(np.uint16), "a.png"),  # 8 bits in a file of 16
        (RAMP.astype(np.float32), "a.tiff"),
        ((RAMP - 9).astype(np.float32), "a.tiff"),
        (np.full((20, 30), np.nan, np.float32), "a.tiff"),
        ((RAMP * 1e6).astype(np.int32), "a.tiff"),
    ],
)
def test_a_range_that_cannot_be_told_is_refused(tmp_path, levels, name):
    with pytest.raises(PictureError, match="range cannot be told; save the picture with 8 bits"):
        saved(tmp_path, Image.fromarray(levels), name)


def test_transparent_places_lie_on_white_and_opaque_ones_are_as_they_were(tmp_path):
    clear = Image.new("RGBA", (20, 20), (10, 20, 30, 255))
    assert saved(tmp_path, clear).told == ()
    clear.paste((0, 0, 0, 0), (0, 0, 10, 20))
    opened = saved(tmp_path, clear)
    assert opened.told == (TRANSPARENT,)
    assert np.asarray(opened.picture)[5, [2, 15]].tolist() == [[255] * 3, [10, 20, 30]]
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([9, 9, 9, 200, 100, 50])
    assert np.asarray(saved(tmp_path, palette).picture)[0, 0].tolist() == [200, 100, 50]
    assert saved(tmp_path, palette, transparency=1).told == (TRANSPARENT,)


def test_inks_and_frames_are_told(tmp_path):
    assert saved(tmp_path, Image.new("CMYK", (20, 20)), "a.jpg").told == (INKS,)
    frames = [Image.new("RGB", (20, 20), (i, 0, 0)) for i in (0, 200)]
    assert saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:]).told == (
        ANIMATED,
    )


def oriented(tmp_path, name, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)


@pytest.mark.parametrize(
    ("where", "orientation"),
    [(where, o) for where in ("box", "stored", "small") for o in range(1, 9)]
    + [("upright", o) for o in range(5, 9)],  # only there the shape tells it from a stored one
)
def test_boxes_and_masks_turn_with_the_picture(model, tmp_path, orientation, where):
    pixels = np.zeros((48, 24, 3), np.uint8)
    pixels[6:18, 4:10] = 255
    oriented(tmp_path, "a.png", pixels, orientation)
    mask = Image.fromarray(pixels[..., 0])
    if where == "upright":
        oriented(tmp_path, "mask.png", pixels, orientation)
        mask = open_picture(tmp_path / "mask.png").picture.convert("L")
    if where == "small":
        mask = mask.resize((12, 24), Image.Resampling.NEAREST)
    mask.save(tmp_path / "mask.png")
    told = ("x0,y0,x1,y1", "4,6,9,17") if where == "box" else ("mask", "mask.png")
    (tmp_path / "manifest.csv").write_text(f"image,label,{told[0]}\na.png,cat,{told[1]}\n")
    pairs = drawn(model, tmp_path, None)
    bright = pairs.images[0].mean(0) > 0
    agree = (bright & pairs.masks[0]).sum() / (bright | pairs.masks[0]).sum()
    assert agree > 0.8
    assert any(TURNED in note for note in pairs.notes) is (orientation != 1)


FIELD = np.zeros((8, 8), np.uint8)
FIELD[2:5, 3:6] = 1
TRUTH = FIELD.astype(bool)
SOFT = FIELD * 255
SOFT[1, 3:6], SOFT[5, 3:6] = (90, 100, 110), (20, 30, 40)
SEVERAL = FIELD.copy()
SEVERAL[6, 6] = 7
VOID = FIELD * 12
VOID[5, 3:6] = 255


def palette(levels):
    picture = Image.fromarray(levels).convert("P")
    picture.putdata(levels.flatten().tolist())
    return picture


@pytest.mark.parametrize(
    "stored",
    [
        Image.fromarray(FIELD),
        Image.fromarray(FIELD * 255),
        Image.fromarray(FIELD * 37),
        Image.fromarray(SOFT),
        Image.fromarray(TRUTH),
        Image.fromarray(FIELD.astype(np.uint16) * 40_000),
        Image.fromarray(FIELD.astype(np.float32)),
        palette(VOID),
        Image.fromarray(np.stack([FIELD * 200, FIELD * 10, FIELD], -1)),
        Image.merge("LA", [Image.new("L", (8, 8), 5), Image.fromarray(FIELD * 255)]),
        Image.merge("RGBA", [Image.fromarray(f) for f in (SOFT, SOFT, SOFT, FIELD * 255)]),
    ],
    ids=[
        "0/1",
        "0/255",
        "one-id",
        "soft",
        "bits",
        "16-bit",
        "float",
        "palette-with-void",
        "color",
        "LA",
        "RGBA",
    ],
)
def test_masks_are_read_as_people_save_them(stored):
    assert (object_in(stored) == TRUTH).all()


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (Image.fromarray(FIELD * 0), "no object: every pixel is 0"),
        (Image.fromarray(SEVERAL), "found the values 0, 1, 7; say in a column mask_value"),
        (palette(SEVERAL), "found the values 0, 1, 7; say in a column mask_value"),
        (Image.fromarray(VOID), "found the values 0, 12, 255"),
        (Image.fromarray(255 - FIELD * 255), "border is all object; invert it"),
        (Image.fromarray(np.stack([FIELD * 200, FIELD[::-1] * 10, FIELD], -1)), "several colors"),
    ],
    ids=["empty", "several", "several-of-a-palette", "void-without-palette", "inverted", "colors"],
)
def test_masks_that_cannot_be_told_are_refused(stored, words):
    with pytest.raises(PictureError, match=words):
        object_in(stored)


def test_a_value_names_the_object_among_several():
    assert object_in(Image.fromarray(SEVERAL), 7).sum() == 1
    assert (object_in(Image.fromarray(255 - FIELD * 255), 0) == TRUTH).all()
    with pytest.raises(PictureError, match="no pixel of value 9, only 0, 1, 7"):
        object_in(Image.fromarray(SEVERAL), 9)


def written(folder, columns, rows):
    Image.new("RGB", (40, 20), "white").save(folder / "a.png")
    lines = [f"image,label,{columns}", *(f"a.png,cat {i},{row}" for i, row in enumerate(rows))]
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("x0,y0,x1,y1", "10,5,19,14"),
        ("x0,y0,x1,y1", "0.25,0.25,0.5,0.75"),
        ("x,y,w,h", "10,5,10,10"),
        ("x,y,width,height", "10.0,5.0,9.2,9.5"),
        ("x,y,w,h", "0.25,0.25,0.25,0.5"),
    ],
)
def test_boxes_in_every_form_are_the_same_box(model, tmp_path, columns, row):
    (mask,) = drawn(model, written(tmp_path, columns, [row]), None).masks
    wanted = torch.zeros(24, 24, dtype=torch.bool)
    wanted[6:18, 6:12] = True
    assert torch.equal(mask, wanted)


def test_fractions_may_be_rounded(model, tmp_path):
    (mask,) = drawn(model, written(tmp_path, "x0,y0,x1,y1", ["-1e-9,0,0.5,1.0000001"]), None).masks
    assert mask.sum(1).tolist() == [12] * 24


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        ("x0,y0,x1,y1", ["1,2,9,9", "1.5,2,9,9"], "column x0 .* found '1.5' in row 2; boxes are"),
        (
            "x0,y0,x1,y1",
            ["30,2,9,9"],
            "id 0': expected a box .* name the columns x, y, w, h",
        ),
        ("x,y,w,h", ["3,2,0,9"], "expected a box with a width and a height"),
        ("bbox", ["[1 2 3 4]"], "four columns, found a column bbox"),
        ("x0,y0,x1", ["1,2,3"], "expected all of the columns x0, y0, x1, y1"),
        ("x,y,w", ["1,2,3"], "expected all of the columns x, y, w, h"),
        ("mask,mask_value", ["a.png,one"], "a whole number in column mask_value .* 'one' in row 1"),
    ],
)
def test_boxes_that_mean_nothing_are_refused_with_their_row(model, tmp_path, columns, rows, words):
    with pytest.raises(DataError, match=words):
        drawn(model, written(tmp_path, columns, rows), None)


def test_a_mask_of_another_shape_is_refused(model, tmp_path):
    Image.fromarray(np.pad(FIELD, 6)).resize((20, 40), 0).save(tmp_path / "turned.png")
    with pytest.raises(DataError, match=r"its mask 'turned.png': .* 40×20 pixels .* found 20×40"):
        drawn(model, written(tmp_path, "mask", ["turned.png"]), None)


def test_two_classes_of_one_name_are_told_apart_by_their_number(tmp_path):
    net = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3)
    )
    steps = transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor()])
    model = model_of(net, steps, ["crane", "owl", "crane"])
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "b.png")
    (tmp_path / "manifest.csv").write_text("image,label,class_index\na.png,crane,2\nb.png,owl,1\n")
    pairs = drawn(model, tmp_path, None)
    assert (pairs.targets[pairs.labels].tolist(), pairs.classes) == ([2, 1], ("crane", "owl"))
    (tmp_path / "classes.csv").write_text("label,class_index\ncrane,0\nowl,1\ncrane,2\n")
    pairs = drawn(model, tmp_path, None)
    assert pairs.classes == ("crane (0)", "owl", "crane (2)")
    assert pairs.targets[pairs.labels].tolist() == [2, 1]
    (tmp_path / "classes.csv").write_text("label,class_index\ncrane,1\nowl,0\ncrane,2\n")
    (tmp_path / "manifest.csv").write_text("image,label,class_index\na.png,crane,2\nb.png,owl,0\n")
    assert drawn(model, tmp_path, None).targets.tolist() == [0, 1]  # numbers of another list
