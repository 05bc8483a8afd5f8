"""No file that an audit uses ends it half-way, be it one of the many pairs alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import audit
from audit.data.errors import DataError
from audit.engine.files_read import READ_MANY

COLORS = ("red", "green", "blue", "white")
PICTURES = 100
LAST = int(np.random.default_rng(0).permutation(PICTURES)[-1])  # of those that are drawn by seed 0


@pytest.fixture
def photos(tmp_path):
    """Pictures of four classes, of which the one that is drawn last is none."""
    names = [f"{COLORS[i % 4]}/{i:03d}.png" for i in range(PICTURES)]
    folder = tmp_path / "photos"
    for name in sorted(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), name.split("/")[0]).save(folder / name)
    bad = sorted(names)[LAST]
    (folder / bad).write_bytes(b"no picture")
    return folder, sorted(names), bad


def checked(model, data, tmp_path, select="P202"):
    return audit.check(
        "grad-attention",
        model=model,
        data=data,
        samples=12,
        profile="quick",
        select=select,
        out=str(tmp_path / "out"),
    )


def test_what_is_left_out_of_the_many_pairs_is_listed(tiny_model, photos, tmp_path):
    folder, _, bad = photos
    found = checked(tiny_model, f"folder:{folder}", tmp_path)
    assert [one.what for one in found.data.skipped] == [bad]
    assert found.data.skipped[0].reason.startswith("not a readable picture")


def test_a_bad_file_of_a_manifest_ends_the_audit_before_it_begins(tiny_model, photos, tmp_path):
    folder, names, bad = photos
    rows = [f"{name},{name.partition('/')[0]},4,4,20,20" for name in names]
    (folder / "manifest.csv").write_text("\n".join(["image,label,x0,y0,x1,y1", *rows]))
    with pytest.raises(DataError, match=f"1 of 100 picture files .*\n'{bad}': not a readable"):
        checked(tiny_model, str(folder), tmp_path, "P101,P202")
    assert not list(tmp_path.rglob("trace*"))
    found = checked(tiny_model, str(folder), tmp_path, "P205")  # asks none of the many pairs
    assert not found.data.skipped


def test_the_kinds_that_read_many_pairs_are_known():
    gatherers = (Path(__file__).parents[2] / "audit/evidence").glob("*.py")
    reading = {one.stem for one in gatherers if ".many_pairs()" in one.read_text(encoding="utf-8")}
    assert reading == (READ_MANY - {"performance"})  # that one is gathered beside the chosen pairs
