"""The notebook of the docs runs from top to bottom, and shows what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
RUN = """
import ast, json, linecache, sys
import audit.engine.auditing  # once, rather than in each of the processes that are forked
cells = json.load(open(sys.argv[1], encoding="utf-8"))["cells"]
space, shown = {"__name__": "__main__"}, []
for number, cell in enumerate(c for c in cells if c["cell_type"] == "code"):
    text, name = "".join(cell["source"]), f"<ipython-input-{number}-0>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    tree = ast.parse(text, name)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), space)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), name, "eval"), space)
        html = getattr(value, "_repr_html_", None)
        shown.append(html() if html else repr(value))
bad, good = space["bad"], space["good"]
print(json.dumps({
    "good": [good.passed, good.conditions.supervised],
    "bad": [bad.passed, bad.conditions.supervised],
    "verdicts": {k: f.verdict.value for k, f in bad.findings.items()},
    "same": space["same"].equivalent, "worse": space["changed"].worse, "shown": shown,
}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    done = subprocess.run(
        [sys.executable, "-c", RUN, NOTEBOOK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(NOTEBOOK.parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["report.html"]  # and nothing else
    return json.loads(done.stdout)


def test_it_tells_the_honest_from_the_faulty(ran):
    assert ran["good"] == [True, True]
    assert ran["bad"] == [False, True]
    assert ran["verdicts"]["P105"] == "violation"
    assert (ran["same"], ran["worse"]) == (False, True)


def test_a_result_shows_the_line_of_its_cell(ran):
    good, bad, table, *_ = ran["shown"]
    assert "no violation found" in good
    assert "<mark>" in bad
    marked = bad.partition("<mark>")[2].partition("</mark>")[0]
    assert "layer" in marked or "softplus" in marked
    assert "violation" in table


def test_it_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
