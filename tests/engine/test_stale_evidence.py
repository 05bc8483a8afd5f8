"""What an interrupted audit has measured is not used once anything changed that it depends on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]
FILES = {
    "pkg/__init__.py": "",
    "pkg/helper.py": "STEPS = 0\n",
    "pkg/decorating.py": """\
import functools


def decorated(method):
    @functools.wraps(method)
    def shifted(*inputs, **options):
        return method(*inputs, **options).roll(0, -1)

    return shifted
""",
    "pkg/calling.py": """\
import json
import os
from pathlib import Path

from pkg import helper
from pkg.methods import beside


class Method:
    def __call__(self, model, images, targets, *, steps=0):
        scale = json.loads(Path(__file__).with_name("steps.json").read_text())
        steps += helper.STEPS + beside.STEPS + scale + int(os.environ.get("MY_STEPS", "0"))
        return model.encode_image(images).mean() * 0 + images.mean(1).roll(steps, -1)
""",
    "pkg/steps.json": "0",
    "pkg/methods/__init__.py": "",
    "pkg/methods/beside.py": "STEPS = 0\n",
    "pkg/methods/mine.py": """\
import functools

from pkg.calling import Method
from pkg.decorating import decorated

explain = functools.partial(decorated(Method().__call__), steps=0)
""",
}
WORDS = ["--profile", "quick", "--samples", "2", "--select", "P101,P103", "--no-history"]


class Project:
    """An explainer in a package, its model in a folder, and an audit that stopped at the end."""

    def __init__(self, folder, model):
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        shutil.copytree(model, folder / "model")
        self.audit("whole")
        (folder / "whole" / "evidence" / "finished").unlink()

    def audit(self, out, **environment):
        """Maps, and the kinds of evidence that were used again."""
        command = [sys.executable, "-P", "-m", "audit", "check", "-e", "pkg.methods.mine:explain"]
        command += ["--model", "local-dir:model", *WORDS, "--format", "json", "--out", out]
        path = f"{ROOT}{os.pathsep}{self.folder}"
        known = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(
            command, cwd=self.folder, env=known, capture_output=True, text=True, check=False
        )
        assert done.returncode in {0, 1}, done.stderr
        result = json.loads((self.folder / out / "result.json").read_text())
        maps = np.load(self.folder / out / "evidence" / "explanations.npz")
        return {name: maps[name] for name in maps}, result["timing"]["reused"]

    def resumed(self, **environment):
        """The same command after the interruption."""
        shutil.rmtree(self.folder / "again", ignore_errors=True)
        shutil.copytree(self.folder / "whole", self.folder / "again")
        return self.audit("again", **environment)


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model):
    return Project(tmp_path_factory.mktemp("project"), tiny_model.removeprefix("local-dir:"))


def replaced(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


def config(change):
    def edit(path):
        document = json.loads(path.read_text())
        change(document["model_cfg"])
        path.write_text(json.dumps(document))

    return edit


def other_weight(path):
    times, state = path.stat(), load_file(path)
    state["visual.proj"][0, 0] += 1
    save_file(state, path)
    os.utime(path, (times.st_atime, times.st_mtime))
    assert path.stat().st_size == times.st_size


EDITS = {
    "helper in a parent package": ("pkg/helper.py", replaced("0", "1")),
    "helper beside it": ("pkg/methods/beside.py", replaced("0", "1")),
    "object with __call__": ("pkg/calling.py", replaced("roll(steps", "roll(steps + 1")),
    "partial": ("pkg/methods/mine.py", replaced("steps=0", "steps=1")),
    "decorator elsewhere": ("pkg/decorating.py", replaced("roll(0", "roll(1")),
    "JSON beside it": ("pkg/steps.json", replaced("0", "1")),
    "environment variable": ({"MY_STEPS": "1"}, None),
    "heads of the model": (
        "model/open_clip_config.json",
        config(lambda c: c["vision_cfg"].update(head_width=16)),
    ),
    "activation of the model": (
        "model/open_clip_config.json",
        config(lambda c: c.update(quick_gelu=True)),
    ),
    "weight of the same size and time": ("model/open_clip_model.safetensors", other_weight),
}


def test_an_interrupted_audit_goes_on(project):
    _, reused = project.resumed()
    assert {"explanations", "trace"} <= set(reused)


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_goes_unnoticed(project, edit):
    what, change = EDITS[edit]
    before = dict(np.load(project.folder / "whole" / "evidence" / "explanations.npz"))
    if change is None:
        maps, reused = project.resumed(**what)
    else:
        path = project.folder / what
        kept, times = path.read_bytes(), path.stat()
        change(path)
        try:
            maps, reused = project.resumed()
        finally:
            path.write_bytes(kept)
            os.utime(path, (times.st_atime, times.st_mtime))
    assert "explanations" not in reused
    if not str(what).startswith("model"):
        assert any(not np.array_equal(maps[name], before[name]) for name in before)
