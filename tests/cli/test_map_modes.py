"""``audit map``: several texts and explainers, joined texts, outlined objects, a page."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from audit.config.settings import Settings
from audit.data.errors import DataError
from audit.engine.context_building import load_audited_model
from audit.engine.map_panels import SIDE, Panel, PanelRow, boxed, fitted, map_panel, row_picture
from audit.engine.map_request import MapRequest
from audit.engine.seen_region import seen_region

REQUEST = MapRequest(("gradient",), ("a.png",), ("toy", "brown toy"))


@pytest.fixture
def words(tiny_model):
    picture = Image.new("RGB", (60, 40), (40, 120, 140))
    ImageDraw.Draw(picture).ellipse((20, 8, 44, 32), fill=(230, 40, 20))
    picture.save("picture.png")
    mask = Image.new("L", (60, 40))
    ImageDraw.Draw(mask).ellipse((20, 8, 44, 32), fill=255)
    mask.save("mask.png")
    return ["map", "--image", "picture.png", "--model", tiny_model]


def said(done):
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_rows_of_texts_and_columns_of_explainers(command, words):
    many = ["-e", "gradient", "-e", "grad-cam", "--text", "a disk", "--text", "a cat"]
    told = said(command(*words, *many, "--out", "many.png"))
    assert re.search(
        r"many.png: a disk: cosine -?\d\.\d{4}; rank correlation of gradient and", told
    )
    assert "a cat: cosine" in told
    said(command(*words, "-e", "gradient", "--text", "a disk", "--out", "one.png"))
    with Image.open("many.png") as many_png, Image.open("one.png") as one:
        assert many_png.width >= 4 * SIDE > one.width  # picture, two maps, where they disagree
        assert many_png.height == 2 * one.height
    equal = said(command(*words, "-e", "gradient", "-e", "smooth-grad?noise=0&samples=1",
                         "--text", "a disk"))  # fmt: skip
    assert "rank correlation of gradient and smooth-grad?noise=0&samples=1 1.00" in equal


def test_a_page_holds_the_same_pictures(command, words):
    many = ["-e", "gradient", "--text", "<b>disk</b>", "--text", "a cat"]
    said(command(*words, *many, "--out", "maps.html"))
    page = Path("maps.html").read_text()
    assert "<b>disk</b>" not in page
    assert "&lt;b&gt;disk" in page
    assert "http://" not in page
    pngs = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pngs) == 2
    said(command(*words, *many, "--out", "maps.png"))
    sizes = [Image.open(io.BytesIO(base64.b64decode(png))).size for png in pngs]
    with Image.open("maps.png") as whole:
        assert whole.height == sum(height for _, height in sizes)
    refused = command(*words, *many, "--out", "maps.pdf")
    assert refused.exit_code == 2
    assert "ends in .png or .html" in refused.output


def test_a_joined_text_is_decomposed(command, words):
    told = said(command(*words, "-e", "gradient", "--text", "toy", "--text", "brown toy",
                        "--compose"))  # fmt: skip
    assert re.search(r"gradient of 'brown toy' is \d\.\d\d toy: \d+\.\d% explained$", told)
    told = said(command(*words, "-e", "edges", "--text", "a cat", "--text", "dog", "--compose"))
    assert "a cat and dog: cosine" in told  # a new row
    assert re.search(r"\+ \d\.\d\d dog: 100\.0% explained", told)  # the map is that of any text
    alone = command(*words, "-e", "edges", "--text", "a cat", "--compose")
    assert alone.exit_code == 2
    assert "expected two texts or more" in alone.output


def test_an_outlined_object_is_compared_with_its_mask(command, words):
    Path("own.py").write_text(
        "import torch\n"
        "def disk(model, images, targets):\n"
        "    n = 24\n"
        "    y, x = torch.meshgrid(torch.arange(n) / n, torch.arange(n) / n, indexing='ij')\n"
        "    heat = torch.exp(-((x - 0.53) ** 2 + (y - 0.5) ** 2) * 20)\n"
        "    return heat.expand(len(images), n, n).clone()\n"
    )
    told = said(command(*words, "-e", "own.py:disk", "--text", "a disk", "--segment",
                        "--mask", "mask.png"))  # fmt: skip
    mask, box = (float(re.search(rf"{what} IoU (\d\.\d+)", told)[1]) for what in ("mask", "box"))
    assert mask > 0.85
    assert box > 0.85
    left, top, right, bottom = map(int, re.search(r"box (\d+), (\d+), (\d+), (\d+)", told).groups())
    assert np.abs(np.array([left, top, right, bottom]) - (20, 8, 45, 33)).max() <= 2
    refused = command(*words, "-e", "gradient", "--text", "a disk", "--mask", "mask.png")
    assert refused.exit_code == 2
    assert "expected --segment beside it" in refused.output


def test_a_visualization_needs_no_picture_and_no_explainer(command, tiny_model):
    done = command("map", "--visualize", "--text", "a disk", "--model", tiny_model,
                   "--steps", "20", "--out", "best.png")  # fmt: skip
    found = re.search(r"cosine (-?\d\.\d+), of the mean color (-?\d\.\d+)", said(done))
    assert float(found[1]) > float(found[2])
    with Image.open("best.png") as written:
        assert written.width >= SIDE
    nothing = command("map", "--text", "a disk", "--model", tiny_model)
    assert nothing.exit_code == 2
    assert "expected --explainer, found none" in nothing.output


def test_which_text_is_the_whole():
    assert (REQUEST.whole, REQUEST.parts) == ("brown toy", ("toy",))
    apart = replace(REQUEST, texts=("A", "B"))
    assert (apart.whole, apart.parts) == ("A and B", ("A", "B"))
    with pytest.raises(DataError, match="write options behind the name"):
        replace(REQUEST, explainers=("a", "b"), options={"x": "1"}).checked()
    with pytest.raises(DataError, match="expected 4 pictures for --grid 2, found 1"):
        replace(REQUEST, grid=2).checked()


class CenterCrop:
    """A model that sees the central square of a picture, at 20 by 20 pixels."""

    def preprocess(self, picture):
        import torch

        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((20, 20))
        return torch.from_numpy(np.asarray(crop).copy()).permute(2, 0, 1) / 255

    def restore_colors(self, image):
        return image


def test_the_part_that_is_seen_is_read_off_the_preprocessing(tiny_model):
    assert seen_region(CenterCrop(), (300, 200)) == pytest.approx((50, 0, 250, 200), abs=1.5)
    assert seen_region(CenterCrop(), (200, 300)) == pytest.approx((0, 50, 200, 250), abs=1.5)
    squashed = load_audited_model(Settings(model=tiny_model))
    assert seen_region(squashed, (300, 200)) == pytest.approx((0, 0, 300, 200), abs=4)


def test_a_map_lies_where_the_model_sees_it():
    picture = Image.new("RGB", (300, 200), (128, 128, 128))
    values = np.zeros((4, 4))
    values[0, 0] = 1.0
    panel = map_panel("m", picture, values, (50, 0, 250, 200))
    drawn = np.asarray(panel.picture).astype(int)
    assert drawn.shape[:2] == (299, SIDE)
    gray = np.abs(drawn - 128).max(-1) <= 1
    assert gray[:, :74].all()  # outside
    assert gray[:, 375:].all()
    assert not gray[:, 76:372].any()
    yellow = drawn[..., 0] - drawn[..., 2]
    row, column = np.unravel_index(yellow.argmax(), yellow.shape)
    assert row < 299 / 4
    assert 74 <= column < 74 + 299 / 4
    assert panel.ends == (0.0, 1.0)
    assert not panel.signed


def test_a_map_of_both_signs_has_zero_in_white():
    values = np.array([[-1.0, 0.0, 0.0, 3.0]])
    panel = map_panel("m", Image.new("RGB", (400, 100), "white"), values, (0, 0, 400, 100))
    assert (panel.ends, panel.signed) == ((-3.0, 3.0), True)
    drawn = np.asarray(panel.picture).astype(int)
    middle = drawn[drawn.shape[0] // 2]
    assert middle[SIDE // 2 - 1].min() > 235
    assert middle[-1, 0] - middle[-1, 2] > 30  # red
    assert middle[0, 2] > middle[0, 0]  # blue


def test_a_row_has_its_bar_and_its_box():
    panel = Panel("picture", fitted(Image.new("RGB", (400, 200), "white")))
    framed = boxed(panel, (100, 50, 200, 150), (400, 200))
    inside = np.asarray(framed.picture).astype(int)
    assert inside[100, 112].tolist() == [255, 60, 60]
    plain = row_picture(PanelRow("text", (panel,)))
    barred = row_picture(PanelRow("text", (replace(panel, ends=(0.0, 1.0)),)))
    assert plain.size == barred.size
    assert (np.asarray(plain) != np.asarray(barred)).any()
    wide = row_picture(PanelRow("a very long text " * 20, (panel,)))
    assert wide.width > plain.width
