"""Shared by all tests: one torch thread per worker, since the suite runs in parallel."""

import json

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 24,
            "patch_size": 6,
            "layers": 2,
            "width": 32,
            "head_width": 8,
            "pool_type": "tok",
        },
        "text_cfg": {
            "context_length": 24,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    },
}


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cpu", help="where the audits of the suite run: cpu, cuda, cuda:1, …"
    )


def pytest_configure(config):
    device = config.getoption("--device")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise pytest.UsageError(f"--device {device}: torch finds no GPU; leave the option out")


@pytest.fixture(scope="session")
def device(pytestconfig):
    """Where models are audited; ``pytest --device cuda`` asks the same verdicts of a GPU."""
    return pytestconfig.getoption("--device")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random CLIP of two blocks as ``local-dir:FOLDER``, for whole audits within a second."""
    import open_clip
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-model")
    (folder / "open_clip_config.json").write_text(json.dumps(TINY))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = open_clip.CLIP(**TINY["model_cfg"])
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs ``audit WORDS…`` in an empty folder, in this process."""
    from click.testing import CliRunner

    from audit.cli.commands import main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    return run


@pytest.fixture
def check_tiny(command, tiny_model, device):
    """Runs ``audit check`` on the tiny model and few pairs; the quick checks unless told."""

    def run(explainer, *words, select="P101,P102,P103,P104,P105"):
        small = ["--model", tiny_model, "--profile", "quick", "--samples", "4"]
        small += ["--device", device]
        chosen = ["--select", select] if select else []
        return command("check", "--explainer", explainer, *small, *chosen, *words)

    return run


settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
