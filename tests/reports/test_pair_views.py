"""Maps, scales and charts against pixels and places worked out by hand."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from audit.reports.charts import GAUGE_WIDTH, PLOT, bars_view, gauge, scatter_view
from audit.reports.data_uris import Scale, map_uri, mask_uri, ramp_uri, reduced, scale_of, thumbnail
from audit.reports.pair_views import in_order, pair_view
from audit.result.figures import (
    DIFFERENCE,
    BarsFigure,
    NamedMap,
    PairFigure,
    Point,
    ScatterFigure,
    Series,
)
from audit.result.numbers import Interval, Statistic
from audit.result.schema import Result


def pixels(uri: str) -> np.ndarray:
    """The RGBA pixels of a data URI."""
    kind, data = uri.split(";base64,")
    assert kind in {"data:image/png", "data:image/webp"}
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def color(name: str, place: float) -> list[int]:
    """A color of matplotlib's table."""
    return np.asarray(colormaps[name](place, bytes=True))[:3].tolist()


def encoded(picture: Image.Image, kind: str = "PNG") -> str:
    """A picture in base64."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("grids", "scale"),
    [
        ([[[0.0, 2.0]], [[1.0, 5.0]]], Scale(0.0, 5.0, signed=False)),
        ([[[0.5, 2.0]]], Scale(0.5, 2.0, signed=False)),
        ([[[-1.0, 3.0]]], Scale(-3.0, 3.0, signed=True)),
        ([[[-4.0, 3.0]], [[0.0]]], Scale(-4.0, 4.0, signed=True)),
        ([[[-4.0, -2.0]]], Scale(-4.0, -2.0, signed=False)),
        ([[[None, 1.0], [2.0]]], Scale(1.0, 2.0, signed=False)),
        ([[[None]], []], Scale(None, None, signed=False)),
        ([], Scale(None, None, signed=False)),
    ],
)
def test_scale_spans_the_known_values(grids: list, scale: Scale) -> None:
    assert scale_of(grids) == scale


def test_map_keeps_its_grid_and_its_colors() -> None:
    picture = pixels(map_uri([[0.0, 1.0], [None, 0.5]], Scale(0.0, 1.0, signed=False)))
    assert picture.shape == (2, 2, 4)
    assert picture[0, 0, :3].tolist() == color("viridis", 0.0)
    assert picture[0, 1, :3].tolist() == color("viridis", 1.0)
    assert picture[1, 1, :3].tolist() == color("viridis", 0.5)
    assert picture[..., 3].tolist() == [[255, 255], [0, 255]]


def test_zero_is_the_middle_of_a_signed_map() -> None:
    picture = pixels(map_uri([[-2.0, 0.0, 2.0]], Scale(-2.0, 2.0, signed=True)))
    assert picture[0, 0, :3].tolist() == color("coolwarm", 0.0)
    assert picture[0, 1, :3].tolist() == color("coolwarm", 0.5)
    assert picture[0, 2, :3].tolist() == color("coolwarm", 1.0)


def test_large_map_looks_like_the_same_map_in_parts() -> None:
    values = np.arange(64.0 * 64).reshape(64, 64).tolist()
    values[3][5] = None
    scale = scale_of([values])
    whole = pixels(map_uri(values, scale))
    top = pixels(map_uri(values[:16], scale))
    assert whole.shape == (64, 64, 4)
    assert whole[3, 5, 3] == 0
    known = top[..., 3] == 255
    assert (whole[:16][known] == top[known]).all()
    assert known.sum() == 16 * 64 - 1


def test_fine_maps_are_reduced_to_means_of_blocks() -> None:
    fine = np.random.default_rng(0).random((70, 66))
    fine[0:3, 0:3] = np.nan
    fine[3, 3] = np.nan
    coarse = reduced(fine.tolist())
    assert (len(coarse), len(coarse[0])) == (24, 22)
    assert coarse[0][0] is None
    assert coarse[1][1] == pytest.approx(np.nanmean(fine[3:6, 3:6]))
    assert coarse[23][21] == pytest.approx(fine[69:70, 63:66].mean())
    small = [[1.0, None], [2.0]]
    assert reduced(small) is small
    kept = fine.tolist()
    assert reduced(kept, exact=True) is kept


@pytest.mark.parametrize("grid", [[], [[]], [[None]], [[1.0], []], [[1e300, -1e300]], [[2.0, 2.0]]])
def test_odd_maps_are_still_pictures(grid: list) -> None:
    assert pixels(map_uri(grid, scale_of([grid]))).size


def test_lightness_of_the_color_scale_rises_all_the_way() -> None:
    ramp = pixels(ramp_uri(signed=False))[0, :, :3] / 255
    linear = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert luminance[0] < 0.05
    assert luminance[-1] > 0.7


def test_mask_is_light_on_dark() -> None:
    picture = pixels(mask_uri([[0.0, 1.0]]))
    assert picture[0, 0, :3].max() < 60
    assert picture[0, 1, :3].min() > 200


def test_thumbnail_is_small_and_keeps_its_shape() -> None:
    picture = encoded(Image.new("RGB", (800, 400), (200, 30, 30)))
    large, small = thumbnail(picture, exact=True), thumbnail(picture)
    assert large is not None
    assert small is not None
    assert (large.width, large.height) == (256, 128)
    assert (small.width, small.height) == (160, 80)
    assert abs(int(pixels(small.uri)[40, 40, 0]) - 200) < 8


def test_small_picture_is_exact_where_asked() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (72, 72, 3), dtype=np.uint8)
    one = thumbnail(encoded(Image.fromarray(noise)), exact=True)
    assert one is not None
    assert (pixels(one.uri)[..., :3] == noise).all()


def test_what_hides_in_a_picture_does_not_reach_the_page() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    one = thumbnail(base64.b64encode(buffer.getvalue() + b"<script>").decode(), exact=True)
    assert one is not None
    assert b"script" not in base64.b64decode(one.uri.split(",")[1])


@pytest.mark.parametrize("png", ["", "no base64!", "aGVsbG8=", '"><script>', "é"])
def test_what_is_no_picture_is_absent(png: str) -> None:
    assert thumbnail(png) is None


def test_maps_of_a_pair_share_a_scale_only_where_asked() -> None:
    maps = [NamedMap(title="a", values=[[0.0, 1.0]]), NamedMap(title="b", values=[[0.0, 4.0]])]
    shared = pair_view(
        PairFigure(title="", caption="", pair="p", maps=maps, shared_scale=True), {}, {}
    )
    own = pair_view(PairFigure(title="", caption="", pair="p", maps=maps), {}, {})
    assert shared.scale == Scale(0.0, 4.0, signed=False)
    assert pixels(shared.maps[0].uri)[0, 1, :3].tolist() != color("viridis", 1.0)
    assert own.scale is None
    assert own.maps[0].uri == own.maps[1].uri
    assert own.maps[1].scale == Scale(0.0, 4.0, signed=False)


def test_gauge_holds_value_interval_and_threshold_in_order() -> None:
    drawn = gauge(
        Statistic(
            name="s",
            value=0.8,
            interval=Interval(low=0.7, high=0.9),
            threshold=0.5,
            good_side="above",
        )
    )
    assert drawn is not None
    places = [0, drawn.threshold, drawn.low, drawn.value, drawn.high, GAUGE_WIDTH]
    assert places == sorted(places)
    assert drawn.value - drawn.low == pytest.approx(drawn.high - drawn.value, abs=0.02)
    assert drawn.good == (drawn.threshold, GAUGE_WIDTH)


def test_gauge_of_one_sided_and_of_missing_numbers() -> None:
    one = gauge(
        Statistic(name="s", value=1, interval=Interval(low=None, high=2), threshold=3,
                  good_side="below")
    )  # fmt: skip
    assert one is not None
    assert one.open_low
    assert not one.open_high
    assert one.good == (0.0, one.threshold)
    alone = gauge(Statistic(name="s", value=5))
    assert alone is not None
    assert (alone.low, alone.threshold, alone.good) == (None, None, None)
    assert gauge(Statistic(name="s", value=None, threshold=1)) is None


def test_bars_start_at_zero_and_end_at_their_value() -> None:
    (gain, none, loss), limit = bars_view(
        BarsFigure(title="", caption="", labels=["a", "b", "c"], values=[3.0, None, -1.0], limit=2)
    )
    assert gain.start == loss.start + loss.length == none.start
    assert gain.length == pytest.approx(3 * loss.length, abs=0.02)
    assert gain.beyond
    assert not loss.beyond
    assert limit == pytest.approx(gain.start + gain.length * 2 / 3, abs=0.02)
    assert none.text == "–"


def test_bars_on_a_log_scale_grow_by_equal_steps() -> None:
    bars, limit = bars_view(
        BarsFigure(title="", caption="", labels=list("abcd"), values=[1e-6, 1e-4, 1e-2, 0.0],
                   limit=1e-3, log_scale=True)
    )  # fmt: skip
    assert bars[1].length - bars[0].length == pytest.approx(
        bars[2].length - bars[1].length, abs=0.02
    )
    assert bars[3].length == 0
    assert limit == pytest.approx((bars[1].length + bars[2].length) / 2, abs=0.02)


def test_points_lie_in_the_frame_with_their_whiskers() -> None:
    left, top, right, bottom = PLOT
    points = [
        Point(x=0.1, y=0.2, y_interval=Interval(low=0.0, high=0.4)),
        Point(x=0.9, y=0.8, x_interval=Interval(low=0.8, high=1.0), label="last"),
    ]
    drawn = scatter_view(
        ScatterFigure(title="", caption="", x_label="x", y_label="y",
                      series=[Series(name="s", points=points, line=True)])
    )  # fmt: skip
    first, last = drawn.marks[0]
    assert left < first.x < last.x < right
    assert top < last.y < first.y < bottom
    assert first.top < first.y < first.bottom
    assert (first.left, last.top) == (None, None)
    assert last.left < last.x < last.right
    assert last.text == "last: 0.900, 0.800"
    assert drawn.lines == (f"{first.x:.1f},{first.y:.1f} {last.x:.1f},{last.y:.1f}",)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.97, 0.98), (-3e6, 5e6), (2.0, 2.0), (0.0, 0.0), (1e-9, 3e-9)]
)
def test_ticks_are_few_distinct_and_in_the_frame(low: float, high: float) -> None:
    left, _, right, _ = PLOT
    points = [Point(x=low, y=0.0), Point(x=high, y=1.0)]
    drawn = scatter_view(
        ScatterFigure(title="", caption="", x_label="", y_label="",
                      series=[Series(name="", points=points)])
    )  # fmt: skip
    assert 2 <= len(drawn.x_ticks) <= 8
    assert all(left <= tick.at <= right for tick in drawn.x_ticks)
    assert len({tick.text for tick in drawn.x_ticks}) == len(drawn.x_ticks)


def lab(colors: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB colors, (n, 3); white is that of D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = colors @ np.array(to_xyz).T / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


# What people without one kind of cone see (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("signed", [False, True])
def test_colors_tell_values_apart_whoever_looks(sight: str, signed: bool) -> None:
    srgb = pixels(ramp_uri(signed=signed))[0, :, :3] / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = lab(np.clip(linear @ np.array(SIGHT[sight]).T, 0, 1))
    steps = np.linalg.norm(np.diff(seen[::8], axis=0), axis=1)  # a sixteenth of the range
    assert steps.min() > 2.3  # the difference that is just noticed (Mahy et al. 1994)
    if sight == "all cones":
        assert steps.max() / steps.min() < 2.5  # even steps: perceptually uniform
    middle = len(seen) // 2
    if signed:
        opposite = np.linalg.norm(seen[: middle - 8] - seen[::-1][: middle - 8], axis=1)
        assert opposite.min() > 2.3  # below zero is never taken for above
    else:
        assert np.all(np.diff(seen[::8, 0]) > 0)  # higher is lighter, in gray print too


def test_what_is_seen_at_a_glance_comes_first(result: Result) -> None:
    check = next(one for one in result.checks if one.id == "P105")
    kinds = [figure.kind for figure in in_order(reversed(check.finding.figures))]
    assert list(dict.fromkeys(kinds)) == ["pair", "bars", "scatter", "source", "table"]


def test_a_bar_beyond_the_value_to_beat_is_no_fault() -> None:
    fields = {"title": "t", "caption": "", "labels": ["a", "b"], "values": [0.2, 0.9]}
    tolerated, _ = bars_view(BarsFigure(**fields, limit=0.5))
    beaten, line = bars_view(BarsFigure(**fields, limit=0.5, good_side="above"))
    assert [bar.beyond for bar in tolerated] == [False, True]
    assert [bar.beyond for bar in beaten] == [False, False]
    assert line is not None


def test_a_difference_has_a_scale_of_its_own_about_zero() -> None:
    maps = [
        NamedMap(title="as executed", values=[[0.0, 4.0]]),
        NamedMap(title="on the unmodified model", values=[[0.1, 4.0]]),
        NamedMap(title=DIFFERENCE, values=[[0.0, -0.1]]),
    ]
    view = pair_view(
        PairFigure(title="", caption="", pair="p", maps=maps, shared_scale=True), {}, {}
    )
    assert view.scale == Scale(0.0, 4.0, signed=False)
    assert [one.own for one in view.maps] == [False, False, True]
    assert view.maps[2].scale == Scale(-0.1, 0.1, signed=True)
