"""What Python code calls: the same verdicts as on the command line, from objects."""

import copy
import json
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import audit
from audit.config.settings import SettingsError
from audit.data.errors import DataError
from audit.engine import supervision, worker_process
from audit.errors import ReportedUsageError
from audit.explainers.errors import UnknownExplainerError
from audit.models.errors import ModelError
from tests.api.small_net import Built, faulty, honest, net, tensors

QUICK = {"profile": "quick", "samples": 3}
FAST = {**QUICK, "select": "P101-P105", "supervised": False}


@pytest.fixture(scope="module")
def violated():
    images, targets = tensors()
    masks = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    masks[:, 4:9, 4:9] = True
    return audit.check(faulty, model=net(), data=(images, targets, masks), **FAST)


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, audit, audit.pytest_plugin\n"
        "audit.check, audit.compare, audit.Result\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {'check', 'Result', '__version__'} <= set(dir(audit))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_it_does_not_have_is_named():
    with pytest.raises(AttributeError, match=r"no attribute 'chek'; it has .*check"):
        _ = audit.chek


@pytest.mark.parametrize("explainer", [honest, Built], ids=["function", "class"])
def test_an_honest_explainer_passes_and_the_module_is_left_alone(explainer):
    module = net().train()
    before = copy.deepcopy(module.state_dict())
    result = audit.check(explainer, model=module, data=tensors(), **FAST)
    assert result.passed
    assert {f.verdict.value for f in result.findings.values()} == {"pass"}
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert result.conditions.supervised is False
    assert any("ran in this process" in note and "as asked" in note for note in result.notes)
    assert (result.conditions.dtype, result.model.name) == ("float64", "Sequential")


def test_a_faulty_one_is_accused_with_its_line(violated):
    assert not violated.passed
    with pytest.raises(KeyError, match=r"one of the checks of this audit \(P101, .*got 'P999'"):
        violated.findings["P999"]
    (place, *_) = violated.findings["P105"].locations
    assert place.file.endswith("small_net.py")
    source = next(f for f in violated.findings["P105"].figures if f.kind == "source")
    assert "the model has ReLU" in source.lines[place.line - source.first_line]
    witness = violated.findings["P105"].witness
    assert witness.command.startswith("audit.check(faulty, model=Sequential, data=tensors")
    assert f"select='P105', pair='{witness.pair}')" in witness.command


def test_the_call_that_shows_it_again_does(violated):
    pair = violated.findings["P105"].witness.pair
    again = audit.check(
        faulty, model=net(), data=tensors(), **{**FAST, "select": "P105"}, pair=pair
    )
    assert [f.verdict.value for f in again.findings.values()] == ["violation"]


def test_the_result_is_written_shown_and_tabled(violated, tmp_path):
    page = violated.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page
    assert page.startswith("<!DOCTYPE html>")
    assert json.loads(violated.to_json())["verdict"] == "violation"
    violated.to_json(tmp_path / "result.json")
    assert audit.Result.read(tmp_path / "result.json").findings == violated.findings
    shown = violated._repr_html_()
    assert "<mark>" in shown
    assert "the model has ReLU" in shown
    assert "<script" not in shown
    frame = violated.findings_frame()
    assert frame.loc["P105", "verdict"] == "violation"
    assert frame.loc["P101", "verdict"] == "pass"
    assert frame.loc["P105", "file"].endswith("small_net.py")
    pairs = violated.pairs_frame()
    assert len(pairs) == 3
    assert isinstance(pairs, pd.DataFrame)
    assert "P105 computation-preserved: violation" in str(violated)
    assert repr(violated).startswith("<audit.Result of tests.api.small_net:faulty: violation.")


def test_results_are_compared_as_objects_and_as_files(violated, tmp_path):
    violated.to_json(tmp_path / "old.json")
    assert not audit.compare(tmp_path / "old.json", violated).worse
    better = audit.check(honest, model=net(), data=tensors(), **FAST)
    assert audit.compare(better, violated).worse


def test_equivalence_of_objects():
    same = audit.equivalence(honest, Built, model=net(), data=tensors(), supervised=False)
    assert same.equivalent
    assert "tests.api.small_net:Built" in same.sentence
    other = audit.equivalence(honest, faulty, model=net(), data=tensors(), supervised=False)
    assert not other.equivalent
    three = audit.equivalence(
        honest, Built, "random", model=net(), data=tensors(), supervised=False
    )
    assert not three.equivalent
    assert len(three.pairings) == 3
    assert [len(family) for family in three.families] == [2]


@pytest.mark.supervised
def test_what_no_process_can_be_given_runs_here_and_strict_refuses_it(monkeypatch):
    monkeypatch.setattr(worker_process, "can_fork", lambda: False)

    class Held(nn.Sequential):
        def __reduce_ex__(self, _):
            raise TypeError("never pickled")

        def __deepcopy__(self, memo):
            return net()

    given = {"model": Held(*net()), "data": tensors(), **FAST, "supervised": True}
    result = audit.check(honest, **given)
    assert result.conditions.supervised is False
    assert any("never pickled" in note for note in result.notes)
    with pytest.raises(SettingsError, match="strict: expected the explainer in a process"):
        audit.check(honest, **given, strict=True)


@pytest.mark.supervised
def test_a_cell_of_a_notebook_shows_its_lines_from_another_process():
    """As IPython has them: code without a file, whose lines Python's linecache knows."""
    code = textwrap.dedent(
        """
        import linecache, sys, threading
        import audit
        from tests.api.small_net import net, tensors
        cell = '''
        import torch
        from torch import nn
        def faulty(model, images, targets):
            images = images.clone().requires_grad_()
            x = images
            for part in model:
                x = x.sigmoid() if isinstance(part, nn.ReLU) else part(x)
            found = x[torch.arange(len(x)), targets].sum()
            return torch.autograd.grad(found, images)[0].abs().amax(1)
        '''
        name = "<ipython-input-7-0a1b>"
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"))
        threading.Thread(target=threading.Event().wait, daemon=True).start()  # as a kernel has
        result = audit.check(faulty, model=net(), data=tensors(), profile="quick", samples=3,
                             select="P105")
        assert result.conditions.supervised is True
        (place, *_) = result.findings["P105"].locations
        assert (place.file, place.line) == (name, 8), place
        assert "x.sigmoid() if" in result._repr_html_()
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"selct": "P101"}, SettingsError, r"audit.check: .*did you mean 'select'"),
        ({"select": "P999"}, SettingsError, "select: unknown check 'P999'"),
        ({"samples": -1}, SettingsError, "setting 'samples'"),
        ({"reuse": True}, SettingsError, "'reuse': expected beside the .* as a name"),
        ({"pretrained": "openai"}, SettingsError, "'pretrained': expected beside the model as"),
        ({"data": "bundled"}, SettingsError, "expected data as tensors"),
        ({"data": (tensors()[0],)}, DataError, "got a tuple of Tensor"),
        ({"data": [1, 2]}, DataError, "got int as item"),
        ({"data": (tensors()[0], torch.full((6,), 9))}, DataError, "class ids from 0 to 2, got 9"),
        ({"model": 3}, ModelError, "expected a model as a name, an nn.Module"),
        ({"classes": ["a"]}, ModelError, "names of the module's 3 classes"),
        ({"score": lambda *_: 0}, ModelError, "expected the names of all classes beside score="),
        ({"model": "bundled", "classes": ["a"]}, SettingsError, "classes: expected beside a plain"),
        ({"ladder": ["ViT-B-16:openai"]}, SettingsError, "ladder: expected data as a name"),
    ],
)
def test_a_slip_is_told(given, error, words):
    with pytest.raises(error, match=words):
        audit.check(honest, **{"model": net(), "data": tensors(), **FAST, **given})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": (tensors()[0],)}, "got a tuple of Tensor"),
        ({"data": (tensors()[0][0], tensors()[1])}, r"pass images\[None\]"),
        (
            {"data": (tensors()[0][:, :1], tensors()[1])},
            r"ready pictures \(pairs, 3, H, W\) with H",
        ),
        ({"data": (tensors()[0].tolist(), tensors()[1])}, "each picture as PIL, or as floating"),
        ({"data": DataLoader(TensorDataset(*tensors()))}, "data=loader.dataset"),
        ({"data": {"image": 1}}, "have the keys image, label and"),
        ({"score": lambda *_: 0}, "expected the names of all classes beside score="),
        ({"data": ([Image.new("RGB", (9, 9))], [0])}, "expected preprocess=, from a PIL picture"),
    ],
)
def test_data_that_cannot_do_are_told_before_a_process_starts(given, words, monkeypatch):
    def refuse(*_):
        raise AssertionError("a process was started")

    monkeypatch.setattr(supervision, "start_worker", refuse)
    with pytest.raises(ValueError, match=words):
        audit.check(honest, **{"model": net(), "data": tensors(), **QUICK, **given})


@pytest.mark.supervised
def test_wrong_input_is_a_value_error_from_another_process_too():
    images, _ = tensors()
    with pytest.raises(ValueError, match="class ids from 0 to 2, got 9") as caught:
        audit.check(honest, model=net(), data=(images, torch.full((6,), 9)), **QUICK)
    assert isinstance(caught.value, ReportedUsageError)


def test_a_stream_and_a_table_of_rows_are_data():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from zip(*tensors(), strict=True)

    rows = list(zip(*tensors(), strict=True))
    table = [{"image": image, "label": int(target)} for image, target in rows]
    one, two = (audit.check(honest, model=net(), data=d, **FAST) for d in (Stream(), table))
    three = audit.check(honest, model=net(), data=tensors(), **FAST)
    assert one.passed
    assert one.data.name == "Stream"
    assert one.pairs_frame().equals(three.pairs_frame())
    assert two.pairs_frame().equals(three.pairs_frame())


def test_what_is_no_explainer_is_refused():
    with pytest.raises(UnknownExplainerError, match="did you mean 'gradient'"):
        audit.check("gradiant")
    with pytest.raises(ValueError, match=r"expected an explainer as a name, .* got int"):
        audit.check(3, model=net(), data=tensors(), **FAST)
