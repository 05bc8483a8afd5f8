"""Shared by all tests: types checked while they run, and one torch thread per worker.

The import hook must be there before anything of `audit` or `principles` is imported, so nothing
of them is imported at the top of this file.
"""

import json
import os
import sys
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# An integer may stand where a float is asked for, as PEP 484 has it and mypy takes it. The hook
# wants the checker by name, and pytest makes the package `tests` anew while it collects.
sys.modules["audit_type_checker"] = type_checker = ModuleType("audit_type_checker")
type_checker.checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
FOLDER = Path.cwd()
UNCHECKED = ("audit.trace",)  # it runs at every operation; the issue that rebuilds it adds it
CHECKED = [
    f"{top}.{info.name}"
    for top in ("audit", "principles")
    for info in iter_modules([str(Path(__file__).parents[1] / top)])
    if f"{top}.{info.name}" not in UNCHECKED
]
install_import_hook(CHECKED, "audit_type_checker.checked")
torch.set_num_threads(1)
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")  # audits in tests run one process each
os.environ["EXPLAINER_AUDIT_CACHE"] = "off"  # and measure for themselves

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


def pytest_collection_modifyitems(items):
    """Those that take minutes come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


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


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch, tmp_path_factory):
    """Audits run in the process of the test, which has torch loaded, unless it is marked."""
    if "supervised" in request.keywords:
        return
    from audit.engine import supervision
    from audit.engine.status_board import StatusBoard

    def run(job, limits, tell):
        from importlib import import_module

        module, _, function = job.target.partition(":")
        board = StatusBoard(tmp_path_factory.mktemp("handoff") / "status", create=True)
        arguments = json.loads(json.dumps(job.arguments))
        return json.loads(
            json.dumps(
                getattr(import_module(module), function)(**arguments, **job.live, board=board)
            )
        )

    monkeypatch.setattr(supervision, "supervised", run)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    """Fails a test that leaves this process in another folder: later tests would run there."""
    yield
    found = Path.cwd()
    os.chdir(FOLDER)
    assert found == FOLDER, f"the test left this process in {found}"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs ``audit WORDS…`` in an empty folder, in this process."""
    from click.testing import CliRunner

    from audit.cli.main import main

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


@pytest.fixture(scope="session")
def make_result():
    """Builds a result of any size, with any text."""
    from tests.made_results import build

    return build


@pytest.fixture(scope="session")
def result(make_result):
    """A well-behaved result."""
    return make_result()


@pytest.fixture(scope="session")
def hostile_text():
    """The text that tries to break out."""
    from tests.made_results import HOSTILE

    return HOSTILE


@pytest.fixture(scope="session")
def hostile(make_result, hostile_text):
    """A result with hostile text wherever foreign text can stand."""
    return make_result(text=hostile_text)


@pytest.fixture(scope="session")
def red(tiny_model, tmp_path_factory):
    """grad-eclip on the tiny model: P104 and P105 violated, P201 inconclusive."""
    from audit.config.settings import Settings
    from audit.engine.auditing import run_audit
    from audit.engine.progress import silent

    settings = Settings(
        explainer="grad-eclip",
        model=tiny_model,
        samples=6,
        profile="quick",
        select=("P101", "P104", "P105", "P201"),
        out=str(tmp_path_factory.mktemp("red")),
    )
    return run_audit(settings, silent).result


@pytest.fixture(scope="session")
def green(tiny_model, tmp_path_factory):
    """grad-attention on the tiny model: nothing violated, P201 inconclusive."""
    from audit.config.settings import Settings
    from audit.engine.auditing import run_audit
    from audit.engine.progress import silent

    settings = Settings(
        explainer="grad-attention",
        model=tiny_model,
        samples=6,
        profile="quick",
        select=("P101", "P104", "P105", "P201"),
        out=str(tmp_path_factory.mktemp("green")),
    )
    return run_audit(settings, silent).result


@pytest.fixture
def check_of(red):
    """A check of ``red`` with some fields of itself or of its finding replaced."""

    def made(check_id, **changes):
        check = next(c for c in red.checks if c.id == check_id)
        own = {k: v for k, v in changes.items() if k in type(check).model_fields}
        inner = {k: v for k, v in changes.items() if k not in own}
        return check.model_copy(update={**own, "finding": check.finding.model_copy(update=inner)})

    return made


settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
