"""Grids: Latin squares, cells as masks, sets as clusters, and what position can tell of a class."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from audit.data.data_sources import pairs_of
from audit.data.errors import DataError
from audit.data.grid_layout import composed, picture_in, turns
from audit.metrics.localization import (
    chance_corrected_average_precision,
    grid_pointing,
    mask_on_grid,
)
from audit.models.loading import load_model
from tests.data.drawn import drawn

COLORS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "gray": (90, 90, 90)}
COLORS |= {"cyan": (0, 200, 200), "pink": (200, 0, 200), "gold": (200, 200, 0), "ink": (9, 9, 9)}
COLORS |= {"sand": (250, 220, 160)}


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty pictures of nine classes, each of its class's color, without masks."""
    folder = tmp_path_factory.mktemp("photos")
    rows = ["id,image,label"]
    for i in range(60):
        label = list(COLORS)[i % len(COLORS)]
        Image.new("RGB", (30, 24), COLORS[label]).save(folder / f"{i}.png")
        rows.append(f"p{i},{i}.png,{label}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_a_picture_stands_once_in_every_cell_and_in_every_grid(n):
    square = picture_in(n)
    every = list(range(n * n))
    assert all(sorted(line) == every for line in [*square.tolist(), *square.T.tolist()])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_a_turn_asks_for_everything_once_and_all_turns_for_every_picture_in_every_cell(n):
    grids, pictures = turns(n)
    every = list(range(n * n))
    assert all(sorted(line) == every for line in [*grids.tolist(), *pictures.tolist()])
    cells = np.broadcast_to(np.array(every), grids.shape)
    assert (picture_in(n)[grids, cells] == pictures).all()
    assert len(set(zip(pictures.flat, cells.flat, strict=True))) == n**4


def cells_by_color(pairs, pair, n):
    """The cell in which the color of a pair's class stands, found in its pixels."""
    image = (pairs.images[pairs.picture[pair]] * 0.5 + 0.5).permute(1, 2, 0) * 255
    side = image.shape[0] // n
    middles = [
        image[r * side + side // 2, c * side + side // 2] for r in range(n) for c in range(n)
    ]
    wanted = torch.tensor(COLORS[pairs.classes[pairs.labels[pair]]])
    return int(torch.stack([(one - wanted).abs().sum() for one in middles]).argmin())


@pytest.mark.parametrize("n", [2, 3])
def test_the_mask_of_a_pair_is_the_cell_of_its_class(model, photos, n):
    pairs = drawn(model, photos, 2 * n * n, grid=n)
    side = 24 // n
    for pair in range(len(pairs)):
        row, column = divmod(cells_by_color(pairs, pair, n), n)
        mask = torch.zeros(24, 24, dtype=torch.bool)
        mask[row * side : (row + 1) * side, column * side : (column + 1) * side] = True
        assert torch.equal(pairs.masks[pair], mask)
        shown = pairs.present[pairs.picture[pair]]
        assert shown.sum() == n * n
        assert shown[pairs.labels[pair]]


def test_sets_share_no_picture_and_each_is_asked_for_alike(model, photos):
    pairs = drawn(model, photos, 40, grid=2)
    assert (len(pairs), pairs.grid, len(pairs.images)) == (40, 2, 40)
    assert Counter(pairs.cluster.tolist()) == dict.fromkeys(range(10), 4)
    pictures = [one.split("-")[-1] for one in pairs.ids]
    assert len(set(pictures)) == 40
    cells = mask_on_grid(pairs.masks, (2, 2)).flatten(1).argmax(1)
    for number in range(10):
        own = pairs.cluster == number
        assert sorted(cells[own].tolist()) == [0, 1, 2, 3]
        assert len(pairs.picture[own].unique()) == 4


def test_with_few_pictures_sets_are_asked_in_more_turns_up_to_all(model, photos):
    pairs = drawn(model, photos, 300, grid=3)
    count = len(pairs.cluster.unique())
    assert len(pairs) == 34 * 9
    assert set(Counter(pairs.cluster.tolist()).values()) <= {34 // count * 9, (34 // count + 1) * 9}
    every = drawn(model, photos, None, grid=3)
    assert set(Counter(every.cluster.tolist()).values()) == {81}
    assert len(set(every.ids)) == len(every)


def test_position_tells_nothing_on_grids(model, photos):
    pairs = drawn(model, photos, 48, grid=2)
    masks = mask_on_grid(pairs.masks, (4, 4))
    prior = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).expand(48, 4, 4)
    by_set = [
        float(grid_pointing(prior[pairs.cluster == s], masks[pairs.cluster == s]).mean())
        for s in range(12)
    ]
    assert by_set == pytest.approx([0.25] * 12, abs=1e-6)
    quality = chance_corrected_average_precision(masks, masks)
    assert quality.tolist() == [1.0] * 48


def test_a_draw_is_that_of_its_seed(model, photos):
    one, same, other = (drawn(model, photos, 16, grid=2, seed=s) for s in (3, 3, 4))
    assert one.sha256 == same.sha256 != other.sha256
    assert one.ids != other.ids


def test_labels_without_masks_are_composed_unless_told_otherwise(model, photos, tmp_path):
    grids, single = (drawn(model, photos, 8, grid=grid) for grid in ("auto", "off"))
    assert (grids.grid, grids.balanced) == (2, True)
    assert (single.masks, single.balanced) == (None, False)
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("image,label,x0,y0,x1,y1\na.png,cat,2,2,9,9\n")
    assert drawn(model, tmp_path, 1, grid="auto").grid == 0
    (tmp_path / "manifest.csv").write_text("image,text\na.png,a cat\n")
    assert drawn(model, tmp_path, 1, grid="auto").grid == 0
    words = r"grid of 2×2, found too few in 1 picture of 1 that the model .* give --grid off$"
    with pytest.raises(DataError, match=words):
        drawn(model, tmp_path, 1, grid=2)


def test_it_is_told_why_labels_without_masks_are_not_composed(model, photos, tmp_path):
    assert not any("no masks" in note for note in drawn(model, photos, 8, grid="auto").notes)
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("image,label\na.png,cat\na.png,dog\n")
    (told,) = drawn(model, tmp_path, 2, grid="auto").notes
    assert "there are no masks, and grids of 2×2 pictures" in told
    assert told.endswith(
        "need 4 pictures of distinct classes; found too few in 1 picture of 2 that the model tells "
        "apart."
    )
    assert drawn(model, tmp_path, 2, grid="off").notes == ()


def test_a_picture_of_two_classes_shares_no_grid_with_either(model, tmp_path):
    rows = ["image,label"]
    for i, labels in enumerate([("red", "green"), ("green",), ("blue",), ("gray",), ("ink",)] * 3):
        Image.new("RGB", (24, 24), COLORS[labels[0]]).save(tmp_path / f"{i}.png")
        rows += [f"{i}.png,{label}" for label in labels]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    pairs = drawn(model, tmp_path, None, grid=2)
    whole = drawn(model, tmp_path, None)
    assert len(pairs) >= 16
    of_picture = whole.present.sum(1).max()
    assert of_picture == 2
    assert set(pairs.present.sum(1).tolist()) <= {4, 5}
    red, green = pairs.classes.index("red"), pairs.classes.index("green")
    with_red = pairs.present[:, red]
    assert pairs.present[with_red, green].all()
    assert (pairs.present[with_red].sum(1) == 5).all()


def test_what_cannot_be_read_is_replaced_or_named(model, photos, tmp_path):
    for i in range(24):
        place = tmp_path / list(COLORS)[i % 6] / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (24, 24), COLORS[place.parent.name]).save(place)
    (tmp_path / "red" / "0.png").write_bytes(b"no picture")
    pairs = pairs_of(
        model, f"folder:{tmp_path}", None, seed=0, template="{}", grid="auto", allow_outside=False
    )
    (left,) = pairs.skipped
    assert left.what == "red/0.png"
    assert left.reason.startswith("not a readable picture")
    assert len(pairs.cluster.unique()) >= 4


def test_a_canvas_has_its_pictures_row_by_row():
    squares = [Image.new("RGB", (2, 2), (i, 0, 0)) for i in range(4)]
    assert np.asarray(composed(squares, 2))[::2, ::2, 0].tolist() == [[0, 1], [2, 3]]
