"""Files of others as pictures: bounded, under the manifest's folder, all that is wrong named."""

import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audit.data.errors import DataError
from audit.data.picture_files import open_picture
from audit.data.upright import PictureError
from audit.models.loading import load_model
from tests.data.drawn import drawn as manifest_pairs


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture
def manifest(tmp_path):
    """A folder with good pictures ``a.png``, ``b.png``, ``c.png``, and rows as given."""
    folder = tmp_path / "data"

    def write(rows, columns=("image", "label")):
        folder.mkdir(exist_ok=True)
        for i, name in enumerate("abc"):
            picture(i).save(folder / f"{name}.png")
        pd.DataFrame(rows, columns=list(columns)).to_csv(folder / "manifest.csv", index=False)
        return folder

    return write


def picture(level, size=(24, 24)):
    return Image.fromarray(np.full((*size, 3), 40 * level, dtype=np.uint8))


def noise_png():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def png_of(width, height):
    """A PNG file whose header claims a size; there are no pixels behind it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", struct.pack(">I", 13), header]
    parts += [struct.pack(">I", zlib.crc32(header)), struct.pack(">I", 100), b"IDAT", b"\0" * 104]
    return b"".join(parts)


def test_all_bad_files_are_named_at_once_and_none_blocks(model, manifest):
    folder = manifest([("a.png", "cat")])
    os.mkfifo(folder / "a-pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes(noise_png()[:900])
    (folder / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (folder / "large.png").write_bytes(png_of(9_000, 9_000))
    (folder / "long.png").write_bytes(png_of(50_000, 10))
    (folder / "drawing.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    )
    (folder / "circle.png").symlink_to("circle.png")
    names = [
        "a-pipe.png",
        "folder.png",
        "empty.png",
        "text.png",
        "cut.png",
        "bomb.png",
        "large.png",
    ]
    names += ["large.png", "long.png", "drawing.eps", "circle.png", "gone.png", "zgone.png"]
    manifest([("a.png", "cat"), *((name, "dog") for name in names)])
    with pytest.raises(DataError) as error:
        manifest_pairs(model, folder, None)
    message = str(error.value)
    assert "12 of 13 picture files cannot be used" in message
    assert "and 2 more" in message
    wanted = {
        "a-pipe.png": "found a pipe",
        "folder.png": "found a folder",
        "cut.png": "not a readable picture",
        "bomb.png": "not a readable picture",
        "large.png": "9000×9000 pixels, expected at most 64,000,000",
        "long.png": "50000×10 pixels",
        "drawing.eps": "not a readable picture",
        "circle.png": "",
        "empty.png": "not a readable picture",
        "gone.png": "no such file",
    }
    for name, words in wanted.items():
        line = next(line for line in message.splitlines() if line.startswith(f"'{name}'"))
        assert words in line
    assert "'a.png'" not in message


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_devices_are_no_pictures(place):
    if not Path(place).exists():
        pytest.skip(f"no {place} here")
    with pytest.raises(PictureError):
        open_picture(Path(place))


@pytest.mark.parametrize("form", ["../outside.png", "absolute", "link.png", "linked/outside.png"])
@pytest.mark.parametrize("column", ["image", "mask"])
def test_files_outside_of_the_folder_need_a_word(model, manifest, tmp_path, form, column):
    picture(5).save(tmp_path / "outside.png")
    name = str(tmp_path / "outside.png") if form == "absolute" else form
    other = "b.png"
    row = (name, "cat", other) if column == "image" else (other, "cat", name)
    folder = manifest([row, ("c.png", "dog", "c.png")], ("image", "label", "mask"))
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"outside of it.*--allow-outside"):
        manifest_pairs(model, folder, None)
    assert len(manifest_pairs(model, folder, None, allow_outside=True)) == 2


def test_links_within_the_folder_are_followed(model, manifest):
    folder = manifest([("link.png", "cat"), ("sub/../b.png", "dog")])
    (folder / "link.png").symlink_to("a.png")
    assert len(manifest_pairs(model, folder, None)) == 2


def test_one_picture_under_two_names_is_one(model, manifest):
    pairs = manifest_pairs(model, manifest([("a.png", "cat"), ("./a.png", "dog")]), None)
    assert len(pairs.images) == 1
    assert pairs.present.tolist() == [[True, True]]


LABELS = ["None", "null", "NA", "007", "000123", "nan", "1e5", "True", "-", "N/A"]


def test_labels_are_text_as_it_is_written(model, manifest):
    folder = manifest([("a.png", label) for label in LABELS])
    pairs = manifest_pairs(model, folder, None)
    assert [pairs.classes[i] for i in pairs.labels] == LABELS
    (folder / "classes.csv").write_text("label\n" + "\n".join(LABELS) + "\n")
    assert manifest_pairs(model, folder, None).classes == tuple(LABELS)


def test_classes_that_are_one_text_to_the_model_are_one_and_told(model, manifest):
    folder = manifest([("a.png", "cat"), ("b.png", "cat "), ("c.png", "Cat"), ("c.png", "dog")])
    pairs = manifest_pairs(model, folder, None)
    assert sorted(pairs.classes, key=str.lower) == ["Cat", "dog"]
    assert len({pairs.labels[i].item() for i in range(3)}) == 1
    assert pairs.present.sum(1).tolist() == [1, 1, 2]
    (told,) = pairs.notes
    assert "'cat' as 'Cat'" in told
    assert "'cat ' as 'Cat'" in told
    (folder / "classes.csv").write_text("label\ncrane\ncat\ncat \nCat\ncrane\ndog\n")
    assert manifest_pairs(model, folder, None).classes == ("crane", "cat", "dog")


def test_different_classes_have_nothing_to_tell(model, manifest):
    assert manifest_pairs(model, manifest([("a.png", "cat"), ("b.png", "dog")]), None).notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_in_the_encodings_that_spreadsheets_write(model, manifest, encoding):
    folder = manifest([("a.png", "x")])
    (folder / "manifest.csv").write_text("image,label\na.png,Käfer\n", encoding=encoding)
    assert manifest_pairs(model, folder, None).classes == ("Käfer",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("manifest.jsonl", b'{"image": "a.png", "label": "cat"}\n', "expected a CSV or Parquet"),
        ("manifest.csv", b"image,label\na.png,c\0at\n", "found NUL characters"),
        ("manifest.csv", b"\xff\xfe\x00", "not a readable table"),
        ("manifest.csv", b"image,label\na.png,K\xe4fer\n", "not a readable table"),
        ("manifest.csv", b'image,label\n"a.png,cat\n', "not a readable table"),
        ("manifest.csv", b"image,label\na.png,cat,3\nb.png,dog,4,5\n", "not a readable table"),
        ("manifest.csv", b"", "not a readable table"),
        ("manifest.parquet", b"PAR1", "not a readable table"),
        ("manifest.csv", b"image,label,x0,y0,x1\na.png,cat,1,1,2\n", "expected all of the columns"),
        ("manifest.csv", b"image,label,x0,y0,x1,y1\na.png,cat,1,1,2,inf\n", "'inf' in row 1"),
        ("manifest.csv", b"image,label,x0,y0,x1,y1\na.png,cat,1,1,2,1e400\n", "'1e400' in row 1"),
    ],
)
def test_tables_that_cannot_be_read_are_named(model, manifest, name, content, words):
    folder = manifest([("a.png", "cat")])
    (folder / "manifest.csv").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        manifest_pairs(model, folder / name, None)
    assert name in str(error.value)


def test_a_nul_in_a_name_is_named(model, manifest, monkeypatch):
    folder = manifest([("a.png", "cat")])
    table = pd.DataFrame({"image": ["a\0.png"], "label": ["cat"]})
    monkeypatch.setattr("audit.data.manifest_table.read_table", lambda _: table)
    with pytest.raises(DataError, match="NUL character"):
        manifest_pairs(model, folder, None)


def test_many_rows_and_classes_take_seconds(model, manifest):
    folder = manifest([("a.png", "cat")])
    count = 200_000
    table = {"image": ["a.png", "b.png", "c.png", "./a.png"] * (count // 4)}
    table["label"] = [f"class {i}" for i in range(2_000)] * (count // 2_000)
    pd.DataFrame(table).to_csv(folder / "manifest.csv", index=False)
    started = time.perf_counter()
    pairs = manifest_pairs(model, folder, 16)
    assert time.perf_counter() - started < 20
    assert len(pairs) == 16
    assert len(pairs.classes) == 2_000
    assert torch.unique(pairs.present.sum(1)).tolist() == [500, 1000]
