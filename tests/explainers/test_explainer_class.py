"""A class as an explainer: built once for each model, within the call, with options bound."""

import copy
import gc
import textwrap
import weakref

import pytest
import torch
from torch import nn

from audit.explainers import explainer_class
from audit.explainers.contract import run_explainer
from audit.explainers.errors import ExplainerImportError, UnknownOptionError
from audit.explainers.options import options_of
from audit.explainers.registry import load_explainer

SOURCE = """
    BUILT = []

    class Counting:
        '''Counts its calls.'''

        stochastic = True

        def __init__(self, model, start: int = 1, *, step: float = 1.0):
            BUILT.append(model)
            self.model, self.count, self.step = model, start - step, step

        def __call__(self, images, targets):
            self.count += self.step
            return self.count + 0 * images[:, 0]

    class Picky:
        def __init__(self, model, layer: str):
            self.layer = layer

        def __call__(self, images, targets):
            return images[:, 0]

    class Raising:
        def __init__(self, model):
            raise ArithmeticError("no such model")

        def __call__(self, images, targets):
            return images[:, 0]

    class NoModel:
        def __call__(self, images, targets):
            return images[:, 0]

    class NotCalled:
        def __init__(self, model):
            self.model = model

    class More(Counting):
        def __call__(self, images, targets, more):
            return images[:, 0]
"""
IMAGES, TARGETS = torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.long)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "classes.py"
    path.write_text(textwrap.dedent(SOURCE))
    return path


def values(explainer, model):
    return float(run_explainer(explainer, model, IMAGES, TARGETS).maps.mean())


def built(explainer):
    return explainer_globals(explainer)["BUILT"]


def explainer_globals(explainer):
    call = getattr(explainer.explain, "func", explainer.explain)
    return call.kind.__call__.__globals__


def test_it_is_built_once_for_each_model(file):
    explainer = load_explainer(f"{file}:Counting")
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    assert built(explainer) == []
    assert [values(explainer, m) for m in (one, one, other, one)] == [1, 2, 1, 3]
    assert built(explainer) == [one, other]
    assert values(explainer, copy.deepcopy(one)) == 1


def test_options_stand_before_and_after_the_star(file):
    explainer = load_explainer(f"{file}:Counting?start=5", {"step": "0.5"})
    model = nn.Linear(1, 1)
    assert [values(explainer, model) for _ in range(3)] == [5, 5.5, 6]
    assert explainer.options == {"start": "5", "step": "0.5"}
    with pytest.raises(UnknownOptionError, match="its options: start=int, step=float"):
        load_explainer(f"{file}:Counting?model=2")


def test_what_it_declares_is_read_from_the_class(file):
    explainer = load_explainer(f"{file}:Counting")
    assert explainer.stochastic
    assert explainer.summary == "Counts its calls."
    assert explainer.source_file == str(file)
    assert explainer.source_line == 4
    assert not load_explainer(f"{file}:Raising").stochastic


def test_building_happens_within_the_call(file):
    explainer = load_explainer(f"{file}:Raising")
    with pytest.raises(ArithmeticError, match="no such model"):
        run_explainer(explainer, nn.Linear(1, 1), IMAGES, TARGETS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NoModel", r"got 'NoModel': its constructor takes \(\); change that"),
        ("More", r"got 'More': its __call__ takes \(self, images, targets, more\)"),
        ("NotCalled", r"got 'NotCalled': it has no __call__"),
    ],
)
def test_a_class_that_takes_other_arguments(file, name, words):
    with pytest.raises(ExplainerImportError, match=words):
        load_explainer(f"{file}:{name}")


def test_a_parameter_without_a_default_must_be_given(file):
    with pytest.raises(UnknownOptionError, match=r"expected option 'layer', .* give layer=str"):
        load_explainer(f"{file}:Picky")
    assert load_explainer(f"{file}:Picky?layer=last").options == {"layer": "last"}


def test_few_models_are_kept_alive(file):
    explainer = load_explainer(f"{file}:Counting")
    models = [nn.Linear(1, 1) for _ in range(10)]
    for model in models:
        values(explainer, model)
    built(explainer).clear()
    alive = [weakref.ref(model) for model in models]
    del model, models
    gc.collect()
    assert sum(ref() is not None for ref in alive) == explainer_class.KEPT


def test_a_function_has_options_before_the_star_too():
    def explain(model, images, targets, scale: float = 2.0, /, size=3, *, mode: int | None = None):
        return images

    assert [(o.name, o.kind, o.default) for o in options_of(explain)] == [
        ("size", str, "3"),
        ("mode", int, "None"),
    ]
