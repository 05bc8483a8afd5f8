"""How an explainer is had by name, and what is said when it cannot be had."""

import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from audit.explainers import known_names
from audit.explainers.built_in import BUILT_IN, affordable
from audit.explainers.contract import run_explainer
from audit.explainers.errors import (
    ExplainerImportError,
    ExplainerSpecError,
    UnknownExplainerError,
    UnknownOptionError,
)
from audit.explainers.registry import comparable_with, list_explainers, load_explainer, reduced

ROOT = Path(__file__).parents[2]
SOURCE = """
    from __future__ import annotations
    from typing import TYPE_CHECKING, Literal
    import helper_beside_it
    if TYPE_CHECKING:
        from torch import Tensor

    def mean_color(model, images: Tensor, tokens, *, scale: float = 2.0, flip: bool = False):
        '''Mean color of each picture.

        More words.
        '''
        maps = images.mean(1) * scale
        return maps.flip(-1) if flip else maps

    def typed(model, images, tokens, *, mode: Literal["a", "b"], count: int = 3):
        return images.mean(1)

    class Holder:
        @staticmethod
        def inner(model, images, tokens):
            return images[:, 0]

    mean_color.faithful_twin = "grad-attention"
    mean_color.text_specific = False
    mean_color.stochastic = True
    number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "helper_beside_it.py").write_text("VALUE = 1\n")
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SOURCE))
    yield path
    sys.modules.pop("helper_beside_it", None)


def test_built_ins_load_with_their_defaults():
    for name in BUILT_IN:
        explainer = load_explainer(name)
        assert (explainer.name, explainer.options) == (name, {})
        assert explainer.summary.endswith(".")
        assert explainer.source_file.endswith(".py")
        assert explainer.source_line > 1


def test_options_come_from_the_spec_and_from_the_mapping(clip, pairs):
    explainer = load_explainer("grad-eclip?heads=model&weight=raw", {"weight": "none"})
    assert explainer.name == "grad-eclip"
    assert explainer.options == {"heads": "model", "weight": "none"}
    same = load_explainer("grad-eclip", {"heads": "model", "weight": "none"})
    assert torch.equal(
        run_explainer(explainer, clip, *pairs).maps, run_explainer(same, clip, *pairs).maps
    )


@pytest.mark.parametrize("name", ["grad-eclip", "attention-eclip"])
def test_faithful_twin(name):
    def twin(**options):
        return load_explainer(name, options).faithful_twin

    plain = "?weight={}&heads=model&input=model"
    assert twin() == name + plain.format("projected")
    assert twin(weight="raw") == name + plain.format("raw")
    assert twin(heads="model", input="own-size") == name + plain.format("projected")
    assert twin(heads="model") is None
    assert load_explainer(twin(weight="none")).faithful_twin is None


def test_comparable_explainers_are_cheap_and_of_the_same_tower():
    explainer = load_explainer("grad-eclip", {"weight": "raw", "heads": "model"})
    first, *others = comparable_with(explainer, explains_text=False)
    assert (first.name, first.options) == ("attention-eclip", {"weight": "raw", "heads": "model"})
    assert not any(BUILT_IN[o.name].many_passes for o in others if o.name != "smooth-grad")
    names = {o.name for o in comparable_with(load_explainer("edges"), explains_text=False)}
    assert {"grad-cam", "random", "rollout"} <= names
    assert not {"edges", "rise", "text-game"} & names
    texts = comparable_with(load_explainer("token-removal"), explains_text=True)
    assert {o.name for o in texts} == {
        "text-gradient", "text-grad-attention", "text-grad-eclip", "text-game",
    }  # fmt: skip


def test_file(file, clip, pairs):
    explainer = load_explainer(f"{file}:mean_color", {"scale": "3", "flip": "yes"})
    found = run_explainer(explainer, clip, *pairs).maps
    torch.testing.assert_close(found, pairs[0].mean(1).flip(-1) * 3)
    assert explainer.summary == "Mean color of each picture."
    assert explainer.source_file == str(file)
    assert (explainer.faithful_twin, explainer.text_specific) == ("grad-attention", False)
    assert explainer.stochastic
    assert not explainer.model_free


def test_a_neighbor_is_importable_within_a_function_and_stands_in_for_nothing(
    tmp_path, clip, pairs, monkeypatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    (tmp_path / "a_neighbor_of_mine.py").write_text("SCALE = 3\n")
    (tmp_path / "mine.py").write_text(
        "def explain(model, images, targets):\n"
        "    from a_neighbor_of_mine import SCALE\n"
        "    return images.mean(1) * SCALE\n"
    )
    for _ in range(2):
        explainer = load_explainer(f"{tmp_path}/mine.py:explain")
        torch.testing.assert_close(
            run_explainer(explainer, clip, *pairs).maps, pairs[0].mean(1) * 3
        )
        assert sys.path == [*before, str(tmp_path)]
    del sys.modules["a_neighbor_of_mine"]


def test_file_with_a_nested_name_and_a_relative_path(file, clip, pairs, monkeypatch):
    monkeypatch.chdir(file.parent)
    explainer = load_explainer("mine.py:Holder.inner")
    assert torch.equal(run_explainer(explainer, clip, *pairs).maps, pairs[0][:, 0])


def test_module_in_the_current_folder(file, clip, pairs, monkeypatch):
    monkeypatch.chdir(file.parent)
    (file.parent / "a_module_of_mine.py").write_text(file.read_text())
    monkeypatch.delitem(sys.modules, "a_module_of_mine", raising=False)
    explainer = load_explainer("a_module_of_mine:mean_color")
    torch.testing.assert_close(run_explainer(explainer, clip, *pairs).maps, pairs[0].mean(1) * 2)
    del sys.modules["a_module_of_mine"]


NAMES = {
    "gradeclip": r"unknown explainer 'gradeclip' \(did you mean 'grad-eclip'\?\); `audit list",
    "centerprior": r"did you mean 'center-prior'",
    "zzz": r"unknown explainer 'zzz'; `audit list explainers` shows all",
    "inverted:gradeclip": r"did you mean 'grad-eclip'",
    "inverted:": r"unknown explainer 'inverted:'",
    "": r"unknown explainer ''",
}
OPTIONS = {
    "grad-eclip?head=model": (
        r"unknown option 'head' \(did you mean 'heads'\?\); its options: "
        r"weight=projected\|raw\|none, heads=released\|model"
    ),
    "grad-eclip?heads=two": r"option 'heads' expected released\|model, got 'two'",
    "gradient?a=b": r"unknown option 'a'; its options: none",
    "occlusion?window=0": r"expected 1\|2\|3\|4, got '0'",
    "random?seed=x": r"option 'seed' expected int, got 'x'",
}
PLACES = {
    "nowhere/x.py:f": r"expected a Python file, found none at 'nowhere/x.py'",
    "nowhere/x.py": r"expected a function after the file; write 'nowhere/x.py:function'",
    "no_such_package.part:f": r"got ModuleNotFoundError: No module named 'no_such_package'",
    "json:dump_it": r"expected a function 'dump_it', found none in .*did you mean 'dump'",
    "math:pi": r"expected a function .* got float",
}
MESSAGES = [
    *((spec, UnknownExplainerError, message) for spec, message in NAMES.items()),
    *((spec, UnknownOptionError, message) for spec, message in OPTIONS.items()),
    *((spec, ExplainerImportError, message) for spec, message in PLACES.items()),
]


@pytest.mark.parametrize(("spec", "kind", "message"), MESSAGES)
def test_messages(spec, kind, message):
    with pytest.raises(ExplainerSpecError, match=message) as caught:
        load_explainer(spec)
    assert type(caught.value) is kind
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_options_of_a_file(file):
    spec = f"{file}:typed"
    with pytest.raises(UnknownOptionError, match=r"expected option 'mode', which has no default"):
        load_explainer(spec)
    assert load_explainer(spec, {"mode": "b", "count": "7"}).options == {"mode": "b", "count": "7"}
    with pytest.raises(UnknownOptionError, match=r"option 'count' expected int, got '7.5'"):
        load_explainer(spec, {"mode": "a", "count": "7.5"})
    with pytest.raises(
        UnknownOptionError, match=r"option 'flip' expected true\|false, got 'perhaps'"
    ):
        load_explainer(f"{file}:mean_color?flip=perhaps")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("import does_not_exist_at_all", "ModuleNotFoundError: No module named"),
        ("def f(:\n    pass", "SyntaxError"),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
    ],
)
def test_file_that_does_not_import(tmp_path, body, cause):
    path = tmp_path / "broken.py"
    path.write_text(body)
    with pytest.raises(ExplainerImportError, match=f"expected it to import, got {cause}") as caught:
        load_explainer(f"{path}:f")
    assert "\n" not in str(caught.value)
    assert "Traceback" in caught.value.traceback
    assert str(path) in caught.value.traceback
    assert not [name for name in sys.modules if name.startswith("audit_explainer_broken")]


def test_file_without_the_function(file):
    with pytest.raises(ExplainerImportError, match=r"found none in .*did you mean 'mean_color'"):
        load_explainer(f"{file}:mean_colour")
    with pytest.raises(ExplainerImportError, match=r"-> maps, got int"):
        load_explainer(f"{file}:number")


@pytest.mark.parametrize("taken", ["model, images", "model", ""])
def test_a_function_that_takes_other_arguments_is_told_at_once(tmp_path, taken):
    path = tmp_path / "other.py"
    path.write_text(f"def draw({taken}):\n    pass\n")
    with pytest.raises(ExplainerImportError) as caught:
        load_explainer(f"{path}:draw")
    assert "expected a function (model, images, targets) -> maps" in str(caught.value)
    assert f"takes other arguments: draw({taken})" in str(caught.value)


def test_what_a_decorator_wraps_may_take_other_arguments(tmp_path):
    path = tmp_path / "decorated.py"
    path.write_text(
        "import functools\n"
        "def of_pictures(draw):\n"
        "    return functools.wraps(draw)(lambda model, images, targets: draw(images))\n"
        "@of_pictures\n"
        "def draw(images):\n"
        "    return images.mean(1)\n"
    )
    images = torch.rand(2, 3, 4, 4)
    explainer = load_explainer(f"{path}:draw")
    found = run_explainer(explainer, torch.nn.Identity(), images, torch.zeros(2).long())
    assert torch.equal(found.maps, images.mean(1))


def test_plugins(file, clip, pairs, monkeypatch):
    (file.parent / "a_plugin.py").write_text(file.read_text())
    monkeypatch.syspath_prepend(str(file.parent))
    points = [
        EntryPoint("mean-color", "a_plugin:mean_color", known_names.GROUP),
        EntryPoint("grad-eclip", "a_plugin:mean_color", known_names.GROUP),
        EntryPoint("broken", "a_plugin:nothing", known_names.GROUP),
    ]
    monkeypatch.setattr(known_names, "entry_points", lambda group: points)
    explainer = load_explainer("mean-color?scale=1")
    torch.testing.assert_close(run_explainer(explainer, clip, *pairs).maps, pairs[0].mean(1))
    assert explainer.faithful_twin == "grad-attention"
    assert load_explainer("grad-eclip").source_file.endswith("grad_eclip.py")
    with pytest.raises(UnknownExplainerError, match="did you mean 'mean-color'"):
        load_explainer("mean-colour")
    with pytest.raises(ExplainerImportError, match=r"broken \(entry point a_plugin:nothing\)"):
        load_explainer("broken")
    listed = {entry.name: entry for entry in list_explainers()}
    assert listed["mean-color"].summary == "Mean color of each picture."
    assert listed["broken"].summary.startswith("Cannot be loaded: explainer 'broken")
    sys.modules.pop("a_plugin", None)


def test_list():
    listed = {entry.name: entry for entry in list_explainers()}
    assert list(listed)[: len(BUILT_IN)] == list(BUILT_IN)
    options = {o.name: (o.allowed, o.default) for o in listed["grad-eclip"].options}
    assert options == {
        "weight": ("projected|raw|none", "projected"),
        "heads": ("released|model", "released"),
        "input": ("model|own-size", "model"),
    }
    assert listed["occlusion"].options[0].default == "2"
    assert listed["grad-eclip"].faithful_twin is not None
    assert listed["edges"].model_free
    assert not listed["raw-attention"].text_specific
    assert "inverted:<explainer>" in listed
    assert all(entry.summary for entry in listed.values())


@pytest.mark.parametrize("name", [n for n in BUILT_IN if BUILT_IN[n].cheaper])
def test_cheaper_settings_can_be_loaded(name):
    spec = affordable(name)
    assert load_explainer(spec).options == BUILT_IN[name].cheaper
    assert affordable("gradient") == "gradient"
    told = reduced(spec)
    assert all(
        f"{key} {value} instead of " in told for key, value in BUILT_IN[name].cheaper.items()
    )
    assert f"`{spec}`" in (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    assert reduced(name) == ""


def test_what_is_reduced_is_told_beside_what_is_published():
    assert reduced("rise?masks=256") == "masks 256 instead of 2000"
    assert reduced("rise?masks=2000&cells=7") == ""
    told = "steps 100 instead of 800, area 0.1 instead of the default"
    assert reduced(affordable("extremal-perturbation")) == told
    assert reduced("gradient") == reduced("mine.py:f?masks=3") == ""
