"""Only the command line prints and exits."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {"audit/models/bundled/train.py", "audit/models/bundled/evaluate.py"}
PROCESSES = {  # a worker ends itself, and what its explainer prints is passed on
    "audit/engine/supervision.py": {"sys.stderr.write"},
    "audit/engine/worker.py": {"os._exit"},
    "audit/engine/worker_process.py": {"os._exit"},
    "audit/evidence/side_by_side.py": {"os._exit"},
    "audit/engine/evidence_filler.py": {"os._exit"},
    "audit/engine/ray_worker.py": {"os._exit"},
}
PRINTING = {"print", "sys.exit", "exit", "quit", "click.echo", "sys.stdout.write", "os._exit"}
PRINTING |= {"sys.stderr.write", "sys.__stdout__.write", "sys.__stderr__.write"}


def calls(path):
    """Every called name of a file, with dots."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def printing(path):
    return PRINTING & set(calls(path))


def test_nothing_but_the_command_line_prints_or_exits():
    sources = [p for name in ("audit", "principles") for p in (ROOT / name).rglob("*.py")]
    found = {p.relative_to(ROOT).as_posix(): printing(p) for p in sources}
    elsewhere = {name: what for name, what in found.items() if what and name not in SCRIPTS}
    assert {n: w for n, w in elsewhere.items() if not n.startswith("audit/cli/")} == PROCESSES


def test_a_call_that_prints_is_found(tmp_path):
    path = tmp_path / "loud.py"
    path.write_text("import sys\n\ndef f():\n    sys.stderr.write('x')\n    print('y')\n")
    assert printing(path) == {"sys.stderr.write", "print"}
