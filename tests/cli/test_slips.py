"""Slips of the pen are answered at once: nothing heavy is imported, no process is started."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import audit.explainers
from audit.explainers.built_in import BUILT_IN
from audit.explainers.errors import ExplainerImportError, ExplainerSpecError
from audit.explainers.known_names import registered
from audit.explainers.options import options_of
from audit.explainers.registry import list_explainers, load_explainer
from audit.explainers.written_explainers import expect_written, written_options
from audit.models.errors import ModelError
from audit.models.open_clip_source import known_models
from audit.models.timm_source import known_models as known_to_timm
from audit.models.torchvision_source import known_models as known_to_torchvision
from audit.models.written_models import expect_written_model, written_tags
from audit.written_names import find_module, read_written

OURS = """
import torch
LATER: object

def gradient(model, images, targets, *, steps: int = 3):
    return images.abs().amax(1)

class Net:
    pass

def model():
    return {}
"""
CHECK = ("check", "--explainer", "gradient")
SLIPS = [
    (("check", "-e", "gradiant"), "unknown explainer 'gradiant' (did you mean 'gradient'?)"),
    (("check", "-e", "inverted:edgs"), "unknown explainer 'edgs' (did you mean 'edges'?)"),
    (("check", "-e", "ours.py:gradiant"), "none in '{}/ours.py' (did you mean 'gradient'?)"),
    (("check", "-e", "ours.py:Ned"), "(did you mean 'Net'?)"),
    (("check", "-e", "ours.py"), "write 'ours.py:function'"),
    (("check", "-e", "theirs.py:explain"), "expected a Python file, found none at 'theirs.py'"),
    (("check", "-e", "ours:gradiant"), "(did you mean 'gradient'?)"),
    (("check", "-e", "no_such_package:explain"), "No module named 'no_such_package'"),
    (("check", "-e", "ours.py:gradient", "--option", "stepz=1"), "(did you mean 'steps'?)"),
    (("check", "-e", "ours.py:gradient?steps=few"), "option 'steps' expected int, got 'few'"),
    (("check", "-e", "grad-eclip", "--option", "haeds=model"), "(did you mean 'heads'?)"),
    (("check", "-e", "grad-eclip?heads=modl"), "'heads' expected released|model, got 'modl'"),
    (("check", "-e", "rise", "--option", "masks=many"), "'masks' expected int, got 'many'"),
    (("check", "-e", "captum:Saliancy"), "(did you mean 'Saliency'?)"),
    (("check", "-e", "pytorch-grad-cam:GradCAMM"), "(did you mean 'GradCAM'?)"),
    (("check", "-e", "maps:none.npz"), "expected a file of maps, found none"),
    ((*CHECK, "--select", "P999"), "unknown check 'P999'"),
    ((*CHECK, "--severity", "P999=warning"), "unknown check 'P999'"),
    ((*CHECK, "--data", "bundeld"), "(did you mean 'bundled'?)"),
    ((*CHECK, "--data", "foldr:photos"), "(did you mean 'folder:'?)"),
    ((*CHECK, "--data", "folder:nowhere"), "found no file or folder 'nowhere'"),
    ((*CHECK, "--model", "ViT-B-61"), "(did you mean 'ViT-B-16'?)"),
    ((*CHECK, "--model", "ViT-B-16"), "state them with --pretrained: openai"),
    ((*CHECK, "--model", "ViT-B-16", "--pretrained", "openia"), "(did you mean 'openai'?)"),
    ((*CHECK, "--model", "tim:resnet18"), "(did you mean 'timm:'?)"),
    ((*CHECK, "--model", "timm:resnet81"), "(did you mean 'resnet18'?)"),
    ((*CHECK, "--model", "torchvision:resnet81"), "(did you mean 'resnet18'?)"),
    ((*CHECK, "--model", "local-dir:nowhere"), "in the folder 'nowhere', found no folder"),
    ((*CHECK, "--model", "ours.py:modle"), "(did you mean 'model'?)"),
    ((*CHECK, "--ladder", "ViT-L-41:openai"), "unknown model 'ViT-L-41'"),
    ((*CHECK, "--device", "cuda9"), "unknown device 'cuda9'"),
    ((*CHECK, "--quality", "enrgy"), "(did you mean 'energy'?)"),
    ((*CHECK, "--format", "htlm"), "(did you mean 'html'?)"),
    (("benchmark", "gradient", "gradiant"), "(did you mean 'gradient'?)"),
    (("equivalence", "gradient", "gradiant"), "(did you mean 'gradient'?)"),
    (("map", "-e", "gradiant", "--image", "ours.py", "--text", "x"), "did you mean 'gradient'?"),
    (("doctor", "--model", "ViT-B-61"), "(did you mean 'ViT-B-16'?)"),
    (("pairs", "--data", "nowhere"), "expected a manifest"),
    (("explain", "gradiant"), "(did you mean 'gradient'?)"),
    (("explain", "p999"), "unknown check or explainer 'P999'"),
]
RUN = """
import contextlib, io, json, sys
from audit.cli.main import main
from audit.engine import supervision
def refuse(*_):
    raise AssertionError("a process was started")
supervision.start_worker = refuse
told = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(err):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    told.append([code, " ".join(err.getvalue().split()), "torch" in sys.modules])
print(json.dumps(told))
"""


def test_no_slip_imports_torch_or_starts_a_process(tmp_path):
    (tmp_path / "ours.py").write_text(OURS)
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([words for words, _ in SLIPS])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for (words, said), (code, told, torch) in zip(SLIPS, json.loads(done.stdout), strict=True):
        assert (code, torch) == (2, False), (words, told)
        assert said.format(tmp_path.resolve()) in told, words


def test_what_is_read_of_built_in_explainers_is_what_they_are():
    folder = Path(audit.explainers.__file__).parent
    for name, one in BUILT_IN.items():
        module, _, function = one.target.partition(":")
        written = read_written(folder / f"{module}.py")
        assert not written.lacks(function)
        call = load_explainer(name).explain
        for real in options_of(getattr(call, "func", call)):
            read = written_options(written.names[function], written)[real.name]
            assert read.default in {None, real.default, f"'{real.default}'"} or float(
                read.default
            ) == float(real.default), name
            assert read.kind in {None, real.kind}, (name, real.name)
    assert [one.name for one in list_explainers()] == registered()


def test_no_known_model_or_tag_is_refused():
    for name, tags in known_models().items():
        assert written_tags().get(name, tags) == tags
        for tag in (*tags, "random", "weights.pt"):
            expect_written_model(name, tag)
    for prefix, known in (("timm", known_to_timm()), ("torchvision", known_to_torchvision())):
        for name in known:
            expect_written_model(f"{prefix}:{name}", None)
    assert len(written_tags()) > 50
    expect_written_model("timm:vit_base_patch16_224_in21k", "random")  # a former name of timm
    with pytest.raises(ModelError, match="unknown device"):
        expect_written_model("bundled", None, "cuda9")


@pytest.mark.parametrize(
    "text",
    [
        "from somewhere import *",
        "globals()['explain'] = print",
        "def __getattr__(name): return print",
        "import sys; setattr(sys.modules[__name__], 'explain', print)",
        "for explain in (print,): pass",
        "try:\n    import nothing as explain\nexcept ImportError:\n    explain = print",
        "with open('x') as explain: pass",
        "if (explain := print): pass",
        "def make():\n    global explain\n    explain = print\nmake()",
        "match 1:\n    case explain: pass",
        "explain, other = print, print",
        "def explain(model, images, targets): pass\nexplain = print(explain)",
        "this is no python",
    ],
)
def test_what_only_running_it_can_tell_is_let_through(tmp_path, text):
    (tmp_path / "ours.py").write_text(text)
    expect_written(f"{tmp_path}/ours.py:explain")
    expect_written(f"{tmp_path}/ours.py:explain.inner")


def test_an_option_of_a_wrapped_function_is_let_through(tmp_path):
    (tmp_path / "ours.py").write_text("def w(f): return f\n@w\ndef explain(m, i, t): pass\n")
    expect_written(f"{tmp_path}/ours.py:explain", {"any": "thing"})
    (tmp_path / "ours.py").write_text("def explain(m, i, t, steps: 'int' = 3, *, a=b): pass\n")
    expect_written(f"{tmp_path}/ours.py:explain", {"steps": "x", "a": "y"})
    with pytest.raises(ExplainerSpecError, match=r"unknown option 'step' \(did you mean 'steps'"):
        expect_written(f"{tmp_path}/ours.py:explain", {"step": "1"})


def test_modules_are_found_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "never_imported"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "inner" / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "inner" / "ours.py").write_text("def explain(m, i, t): pass\n")
    assert find_module("never_imported.inner.ours", tmp_path) == package / "inner" / "ours.py"
    assert find_module("never_imported.nothing", tmp_path) is None
    assert "never_imported" not in sys.modules
    monkeypatch.chdir(tmp_path)
    expect_written("never_imported.inner.ours:explain")
    with pytest.raises(ExplainerImportError, match="did you mean 'explain'"):
        expect_written("never_imported.inner.ours:explian")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        find_module("no_such_package.a")
    assert find_module("sys") is None
