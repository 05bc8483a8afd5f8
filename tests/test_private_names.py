"""Private names stay within their file's package: neither tests nor other packages read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("audit", "principles", "report_templates", "tests")
FILES = sorted(p for folder in OURS for p in (ROOT / folder).rglob("*.py"))


def foreign_private_names(source: str) -> Iterator[str]:
    """Private names of our own modules that a module imports, reads or replaces."""
    tree = ast.parse(source)
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _ours(node.module or ""):
            bound |= {alias.asname or alias.name for alias in node.names}
            yield from (f"{node.module}.{a.name}" for a in node.names if _private(a.name))
        elif isinstance(node, ast.Import):
            bound |= {a.asname for a in node.names if a.asname and _ours(a.name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _private(node.attr):
            if isinstance(node.value, ast.Name) and node.value.id in bound:
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"setattr", "patch"}:
            yield from _replaced(node, bound)


def _replaced(call: ast.Call, bound: set[str]) -> Iterator[str]:
    """A private name that is given as a string: alone after a module, or as a dotted path."""
    values = [a.value for a in call.args if isinstance(a, ast.Constant)]
    for value in values:
        if not isinstance(value, str) or not _private(value.rpartition(".")[2]):
            continue
        owner = call.args[0]
        if _ours(value) or (isinstance(owner, ast.Name) and owner.id in bound):
            yield value


def _ours(module: str) -> bool:
    return module.partition(".")[0] in OURS


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_reads_the_private_names_of_another(path):
    assert list(foreign_private_names(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from audit.engine.auditing import _key",
        "from audit.metrics import ranking\nranking._order()",
        "from audit.engine import auditing as one\none._key",
        "import audit.engine.auditing as one\none._key",
        "from audit.evidence import effects\nmonkeypatch.setattr(effects, '_null', 0)",
        "monkeypatch.setattr('audit.evidence.effects._null', 0)",
    ],
)
def test_each_way_to_read_one_is_seen(source):
    assert len(list(foreign_private_names(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from audit.engine.auditing import run_audit",
        "self._key",
        "from audit import __version__",
        "import torch\ntorch._C",
    ],
)
def test_what_is_no_private_name_of_another_is_let_be(source):
    assert list(foreign_private_names(source)) == []
