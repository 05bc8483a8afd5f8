import math
import subprocess
import sys

import open_clip
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from audit.data.scenes import CLASSES, SIZE, draw_scene, draw_scenes
from audit.models.bundled import (
    CONFIG_PATH,
    DIRECTORY,
    TOWER_PATHS,
    WEIGHTS_PATH,
    evaluate,
    train,
)
from audit.models.bundled.train import Settings

TINY = Settings(pictures=24, batch_size=8, single_object_steps=1, warmup_steps=2, workers=0)


@pytest.fixture(scope="module")
def loaded():
    return evaluate.load_model()


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    return train.train_model(TINY, torch.device("cpu")).state_dict()


def test_paths_need_no_torch() -> None:
    code = "import sys, audit.models.bundled; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_weights_are_plain_tensors_of_the_bundled_architecture() -> None:
    """Safetensors hold no code, so reading them unpickles nothing."""
    with safe_open(WEIGHTS_PATH, framework="pt") as file:
        names = set(file.keys())
    assert names == set(train.build_model(0).state_dict())
    assert len(TOWER_PATHS) == 6
    assert sum(path.stat().st_size for path in (WEIGHTS_PATH, *TOWER_PATHS)) < 25e6


def test_loading_does_not_unpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load was called"))
    evaluate.load_model()


def test_anatomy(loaded) -> None:
    model, _ = loaded
    assert type(model) is open_clip.CLIP
    assert model.visual.pool_type == "tok"
    assert model.visual.grid_size == (12, 12)
    assert [block.attn.num_heads for block in model.visual.transformer.resblocks] == [4] * 4
    assert [block.attn.num_heads for block in model.transformer.resblocks] == [2] * 2
    assert all(
        isinstance(block.attn, nn.MultiheadAttention) for block in model.transformer.resblocks
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_preprocessing_moves_no_pixel(loaded) -> None:
    _, preprocess = loaded
    scene = draw_scene(0)
    expected = torch.from_numpy(scene.image).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(preprocess(Image.fromarray(scene.image)), expected)


def test_every_prompt_and_caption_fits_the_context(loaded) -> None:
    model, _ = loaded
    tokenizer = open_clip.get_tokenizer(f"local-dir:{DIRECTORY}")
    texts = [scene.caption for scene in draw_scenes(200, objects=3)]
    longest = max(len(tokenizer.encode(text)) + 2 for text in texts)
    assert longest <= model.context_length
    assert tokenizer(texts).shape == (200, model.context_length)


@pytest.mark.parametrize(("level", "least", "most"), [(0, 0.97, 1.0), (None, 0.6, 0.9)])
def test_held_out_accuracy(loaded, level: int | None, least: float, most: float) -> None:
    """Right on nearly every pair of the easy scenes, and on 60 to 90 % of those graded."""
    model, preprocess = loaded
    scenes = draw_scenes(300, level=level)
    scores = evaluate.class_scores(model, preprocess, evaluate.class_features(model), scenes)
    accuracy = evaluate.pair_accuracy(scores, evaluate.present_classes(scenes))
    assert accuracy.count > 500
    assert least <= accuracy.correct / accuracy.count <= most


def test_accuracies_of_hand_made_scores() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5], [0.2, 0.2, 0.1]])
    present = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 0]], dtype=torch.bool)
    assert evaluate.picture_accuracy(scores[:2], present[:2]) == evaluate.Accuracy(1, 2)
    # In the first picture only one class outranks the absent one; a tie is not a win.
    assert evaluate.pair_accuracy(scores, present) == evaluate.Accuracy(1, 4)


def test_present_classes_are_the_labels() -> None:
    scenes = draw_scenes(10)
    present = evaluate.present_classes(scenes)
    assert [set(row.nonzero().flatten().tolist()) for row in present] == [
        set(scene.labels) for scene in scenes
    ]


def test_evaluate_reports_each_number_of_objects() -> None:
    result = CliRunner().invoke(evaluate.main, ["--pictures", "20", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    rows = result.output.splitlines()
    names = [row.split(" pictures ")[0].strip() for row in rows]
    assert names[:4] == ["objects 1", "objects 2", "objects 3", "easy"]
    assert names[-1] == "all"
    assert all(name.startswith("level ") for name in names[4:-1])
    assert "/20 " in rows[-1]


def test_evaluate_refuses_heads_that_do_not_divide_the_width() -> None:
    result = CliRunner().invoke(evaluate.main, ["--pictures", "1", "--heads", "3"])
    assert result.exit_code == 2
    assert "no multiple of 3 heads" in result.output


def test_accuracy_interval_is_the_exact_one() -> None:
    low, high = evaluate.Accuracy(10, 10).interval()
    assert low == pytest.approx(0.025 ** (1 / 10))
    assert high == 1


def test_training_is_deterministic(trained) -> None:
    again = train.train_model(TINY, torch.device("cpu")).state_dict()
    assert all(torch.equal(trained[name], again[name]) for name in trained)


def test_training_moves_every_tower_and_depends_on_the_seed(trained) -> None:
    start = train.build_model(TINY.seed).state_dict()
    still = [name for name in start if torch.equal(start[name], trained[name])]
    assert still == []
    other = train.build_model(TINY.seed + 1).state_dict()
    assert not torch.equal(start["visual.conv1.weight"], other["visual.conv1.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    train.build_model(3)
    assert torch.equal(before, torch.get_rng_state())


def test_dataset_starts_with_single_objects_and_tells_all_that_are_shown() -> None:
    dataset = train.SceneDataset(TINY)
    assert len(dataset) == TINY.pictures
    targets = [dataset[i][1] for i in range(len(dataset))]
    assert [int(target.sum()) for target in targets[:8]] == [1] * 8
    assert {int(target.sum()) for target in targets[8:]} == {1, 2, 3}
    assert all(target.shape == (len(CLASSES),) for target in targets)
    assert dataset[0][0].shape == (3, SIZE, SIZE)


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    settings = Settings(pictures=100 * 64, batch_size=64, warmup_steps=10)
    factors = [train.learning_rate_factor(step, settings) for step in range(settings.steps)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factors[55] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx((1 + math.cos(math.pi * 89 / 90)) / 2)


def test_saved_model_loads_with_float16_precision(tmp_path, trained) -> None:
    model = train.build_model(0)
    model.load_state_dict(trained)
    path = train.save_model(model, tmp_path)
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    assert (tmp_path / CONFIG_PATH.name).read_bytes() == CONFIG_PATH.read_bytes()
    back, _ = evaluate.load_model(tmp_path)
    for name, value in back.state_dict().items():
        assert torch.equal(value, trained[name].half().float())


def test_loss_is_the_chance_that_each_shown_class_loses_to_the_absent_ones() -> None:
    """Against the softmax over one shown class and all absent ones, pair by pair."""
    model = train.build_model(0)
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    prompts = train.prompt_tokens(model.context_length)[0]
    present = torch.zeros(3, len(CLASSES), dtype=torch.bool)
    present[0, 4] = present[1, [2, 7]] = present[2, [0, 9, 30]] = True
    with torch.no_grad():
        loss = train.pair_loss(model, images, prompts, present)
        image = nn.functional.normalize(model.encode_image(images), dim=-1)
        text = nn.functional.normalize(model.encode_text(prompts), dim=-1)
        logits = model.logit_scale.exp() * image @ text.T
    expected = []
    for row, shown in zip(logits, present, strict=True):
        for place in shown.nonzero().flatten():
            kept = ~shown
            kept[place] = True
            chance = row.masked_fill(~kept, -math.inf).softmax(0)[place]
            expected.append(-chance.log())
    assert float(loss) == pytest.approx(float(torch.stack(expected).mean()), rel=0.02)


def test_towers_of_the_way_are_kept(tmp_path, trained) -> None:
    settings = Settings(pictures=6400, batch_size=64)
    assert settings.kept_steps[50] == 50
    model = train.build_model(0)
    model.load_state_dict(trained)
    kept = load_file(train.save_image_tower(model, tmp_path, 5))
    assert set(kept) == {name for name in trained if name.startswith("visual.")}
    assert all(torch.equal(kept[name], trained[name].half()) for name in kept)


def test_train_command_refuses_less_than_one_batch(tmp_path) -> None:
    arguments = ["--out", str(tmp_path), "--pictures", "5", "--device", "cpu"]
    result = CliRunner().invoke(train.main, arguments)
    assert result.exit_code == 2
    assert "must fill a batch" in result.output
