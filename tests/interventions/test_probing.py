import contextlib
import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from audit.interventions import probing
from audit.interventions.probing.knockout import run_visible
from audit.interventions.probing.neutral_pictures import blurred, neutral_pictures
from audit.interventions.probing.windows import spread, square_windows
from audit.models.anatomy import anatomy_of

SEEDS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PATCH, GRID, DEPTH = 8, 4, 3
CLOSE = {"atol": 1e-11, "rtol": 0.0}


def occlude(anatomy, images, **options):
    return probing.occlude(anatomy.image_features, anatomy.image.grid, images, **options)


@pytest.fixture
def anatomy(clip):
    return anatomy_of(clip)


@pytest.fixture
def images(inputs):
    return inputs[0]


@pytest.fixture
def pairs(anatomy, inputs):
    """Text features of four pairs, two of which share a picture."""
    with torch.no_grad():
        texts = anatomy.text_features(inputs[1])
    return texts[[0, 1, 2, 0]], torch.tensor([0, 0, 1, 2])


def boxes(side, stride=1):
    starts = sorted({*range(0, GRID - side + 1, stride), GRID - side})
    return list(itertools.product(starts, starts))


def tokens_of(box, side):
    return [
        1 + (box[0] + i) * GRID + box[1] + j for i, j in itertools.product(range(side), repeat=2)
    ]


def painted(picture, box, side, fill):
    """The slow way: one picture, one window."""
    top, left, step = box[0] * PATCH, box[1] * PATCH, side * PATCH
    out = picture.clone()
    if fill == "texture":
        moves = [(0, step), (0, -step), (step, 0), (-step, 0)]
        row, column = next(
            (top + dy, left + dx)
            for dy, dx in moves
            if 0 <= top + dy <= 32 - step and 0 <= left + dx <= 32 - step
        )
        new = picture[:, row : row + step, column : column + step]
    else:
        base = picture.mean((1, 2), keepdim=True).expand_as(picture)
        if fill == "blur":
            base = blurred(picture[None], 3.2)[0]
        new = base[:, top : top + step, left : left + step]
    out[:, top : top + step, left : left + step] = new
    return out


@torch.no_grad()
@pytest.mark.parametrize(
    "case",
    [
        ("mean", 1, 1),
        ("mean", 2, 1),
        ("blur", 1, 1),
        ("blur", 3, 2),
        ("texture", 1, 1),
        ("texture", 2, 2),
    ],
)
def test_occlusion_against_painting_one_window_at_a_time(anatomy, images, case):
    fill, side, stride = case
    found = occlude(anatomy, images, side=side, stride=stride, fill=fill, batch=5)
    slow = torch.stack(
        [
            torch.stack(
                [
                    anatomy.image_features(painted(picture, box, side, fill)[None])[0]
                    for box in boxes(side, stride)
                ]
            )
            for picture in images
        ]
    )
    assert torch.allclose(found.features, slow, **CLOSE)
    assert torch.allclose(found.reference, anatomy.image_features(images), **CLOSE)
    assert float((found.features - found.reference[:, None]).abs().max()) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (1, 2), (2, 3), (None, None)])
def test_knock_out_against_the_models_own_attention_mask(anatomy, images, side, start, stop):
    found = probing.knock_out(anatomy, images, start=start, stop=stop, side=side, batch=7)
    first, last = (start or 0), DEPTH if stop is None else stop
    for number, box in enumerate(boxes(side)):
        mask = torch.zeros(17, 17, dtype=torch.float64)
        mask[:, tokens_of(box, side)] = -torch.inf
        x = anatomy.image.embed(images)
        for index, block in enumerate(anatomy.image.blocks):
            x = block.run(x, mask if first <= index < last else None)
        slow = functional.normalize(anatomy.image.readout(x[:, 0]), dim=-1)
        assert torch.allclose(found.features[:, number], slow, **CLOSE)


@torch.no_grad()
def test_knock_out_of_nothing_is_the_model(anatomy, images):
    x = anatomy.image.embed(images)
    everything = torch.ones(x.shape[:2], dtype=torch.bool)
    for block in anatomy.image.blocks:
        assert torch.allclose(run_visible(block, x, everything), block.run(x), **CLOSE)
    empty = probing.knock_out(anatomy, images, start=1, stop=1)
    assert torch.allclose(empty.features, empty.reference[:, None].expand(-1, 16, -1), **CLOSE)


@contextlib.contextmanager
def overwritten(blocks, rows, sources):
    """Hooks that put the source's rows into the input of each block."""

    def hook(source):
        def overwrite(_, args):
            x = args[0].clone()
            x[:, rows] = source[:, rows]
            return (x, *args[1:])

        return overwrite

    handles = [
        block.module.register_forward_pre_hook(hook(source))
        for block, source in zip(blocks, sources, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
@pytest.mark.parametrize("mode", ["insertion", "removal"])
@pytest.mark.parametrize("neutral", ["mean", "blur"])
@pytest.mark.parametrize("case", [(0, 3, 1), (1, 2, 2), (1, 3, 1), (2, 3, 3)])
def test_patching_against_hooks_on_the_model(anatomy, images, mode, neutral, case):
    start, stop, side = case
    found = probing.patch_activations(
        anatomy, images, mode=mode, neutral=neutral, start=start, stop=stop, side=side, batch=6
    )
    blank = neutral_pictures(images, neutral)
    source, target = (images, blank) if mode == "insertion" else (blank, images)
    tower = anatomy.image
    streams = [tower.run(tower.embed(source), 0, index) for index in range(start, stop)]
    for number, box in enumerate(boxes(side)):
        with overwritten(tower.blocks[start:stop], tokens_of(box, side), streams):
            slow = anatomy.image_features(target)
        assert torch.allclose(found.features[:, number], slow, **CLOSE)
    assert torch.allclose(found.reference, anatomy.image_features(target), **CLOSE)


@pytest.mark.parametrize("mode", ["insertion", "removal"])
@pytest.mark.parametrize("neutral", ["mean", "blur"])
@pytest.mark.parametrize("case", [(0, 3), (0, 1), (1, 3), (2, 3), (None, None)])
def test_null_controls_of_patching(anatomy, images, mode, neutral, case):
    control = probing.null_control(
        anatomy, images, mode=mode, neutral=neutral, start=case[0], stop=case[1]
    )
    assert control.everything < 1e-11
    assert control.nothing < 1e-11


@torch.no_grad()
def test_null_controls_can_fail(anatomy, images):
    """A tower whose blocks do something else when they are run one by one is noticed."""
    blocks = anatomy.image.blocks

    def nudge(module, args, output):
        return output + 0.1 * torch.randn_like(output)

    handle = blocks[1].module.register_forward_hook(nudge)
    control = probing.null_control(anatomy, images)
    handle.remove()
    assert min(control.everything, control.nothing) > 1e-4


def test_effects_are_drops_and_rises_of_each_pairs_score(anatomy, images, pairs):
    texts, picture = pairs
    drop = occlude(anatomy, images)
    rise = probing.patch_activations(anatomy, images, start=0, stop=3)
    loss = probing.patch_activations(anatomy, images, mode="removal", start=0, stop=3)
    for probed, sign in ((drop, -1), (rise, 1), (loss, -1)):
        effects = probed.effects(texts, picture)
        assert effects.shape == (4, GRID, GRID)
        for n, (row, column) in itertools.product(range(4), [(0, 0), (1, 3), (3, 2)]):
            score = probed.features[picture[n], row * GRID + column] @ texts[n]
            base = probed.reference[picture[n]] @ texts[n]
            assert float(effects[n, row, column]) == pytest.approx(sign * float(score - base))


@given(batch=st.integers(1, 80), pictures=st.integers(1, 3), side=st.integers(1, 3))
@SEEDS
def test_results_do_not_depend_on_the_batch(joint_clip, inputs, batch, pictures, side):
    anatomy, images = anatomy_of(joint_clip), inputs[0][:pictures]
    for probe in (occlude, probing.knock_out, probing.patch_activations):
        small, large = (probe(anatomy, images, side=side, batch=b) for b in (batch, 256))
        assert torch.allclose(small.features, large.features, **CLOSE)
        assert torch.allclose(small.reference, large.reference, **CLOSE)


@pytest.mark.parametrize("batch", [1, 5, 40])
def test_the_batch_bounds_every_forward_pass(anatomy, images, batch):
    seen = []
    handle = anatomy.image.blocks[-1].module.register_forward_hook(
        lambda _, args, output: seen.append(len(output))
    )
    occlude(anatomy, images, batch=batch)
    probing.knock_out(anatomy, images, start=0, stop=2, batch=batch)
    probing.patch_activations(anatomy, images, batch=batch)
    handle.remove()
    assert batch // 2 < max(seen) <= batch


def test_probes_leave_the_model_as_it_was(clip, images, state_hash):
    before, flags = state_hash(clip), [p.requires_grad for p in clip.parameters()]
    anatomy = anatomy_of(clip)
    for probe in (occlude, probing.knock_out, probing.patch_activations):
        assert not probe(anatomy, images).features.requires_grad
    assert state_hash(clip) == before
    assert [p.requires_grad for p in clip.parameters()] == flags
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in clip.modules())  # noqa: SLF001 - torch's own


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (7, 4)])
def test_windows_cover_every_patch_and_are_whole(grid, side, stride):
    windows = square_windows(grid, side, stride)
    assert windows.any(0).all()
    assert (windows.sum((1, 2)) == side**2).all()
    assert len({tuple(w.flatten().tolist()) for w in windows}) == len(windows)


def test_spread_is_the_mean_over_covering_windows():
    windows = square_windows((3, 3), 2, 1)
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    expected = torch.tensor([[1.0, 1.5, 2.0], [2.0, 2.5, 3.0], [3.0, 3.5, 4.0]])
    assert torch.equal(spread(values, windows)[0], expected)


def test_neutral_pictures_have_no_content(images):
    mean, blur = (neutral_pictures(images, kind) for kind in ("mean", "blur"))
    assert torch.allclose(mean.std((2, 3)), torch.zeros(3, 3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(mean[:, :, 0, 0], images.mean((2, 3)))
    assert float(blur.std()) < 0.2 * float(images.std())
    flat = torch.full((1, 3, 32, 32), 0.7)
    assert torch.allclose(neutral_pictures(flat, "blur"), flat)


def test_blur_spreads_a_point_as_a_gaussian():
    point = torch.zeros(1, 3, 41, 41, dtype=torch.float64)
    point[..., 20, 20] = 1
    found = blurred(point, 2.0)[0, 0]
    assert float(found.sum()) == pytest.approx(1)
    assert float(found[20, 24] / found[20, 20]) == pytest.approx(torch.e**-2)
    assert torch.allclose(found, found.T)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 0}, "window side from 1 to 4 patches, got 0"),
        ({"side": 5}, "got 5"),
        ({"side": 2, "stride": 3}, "stride from 1 to the window side 2, got 3"),
        ({"fill": "paint"}, "'paint'"),
        ({"fill": "texture", "side": 3}, "room beside every window"),
        ({"batch": 0}, "batch of 1 or more, got 0"),
    ],
)
def test_occlusion_refuses(anatomy, images, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        occlude(anatomy, images, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 2, "stop": 1}, r"block range inside \[0, 3\) of the image tower, got \[2, 1\)"),
        ({"start": 0, "stop": 4}, r"got \[0, 4\)"),
        ({"mode": "swap"}, "'swap'"),
        ({"neutral": "noise"}, "'noise'"),
    ],
)
def test_patching_refuses(anatomy, images, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        probing.patch_activations(anatomy, images, **options)


def test_null_control_refuses_an_empty_range(anatomy, images):
    with pytest.raises(ValueError, match="one block or more"):
        probing.null_control(anatomy, images, start=1, stop=1)
