"""The nearest known name is looked for in one place."""

import ast
from pathlib import Path

from audit.nearest_name import hint, nearest_of

ROOT = Path(__file__).parents[1]


def test_the_nearest_name_is_offered_where_one_is_near():
    assert hint("grad-eclp", ["edges", "grad-eclip"]) == " (did you mean 'grad-eclip'?)"
    assert hint("zzz", ["edges", "grad-eclip"]) == ""
    assert nearest_of("check", "P140", ["P104"]) == (
        "unknown check 'P140' (did you mean 'P104'?); known: P104"
    )


def test_no_other_file_looks_for_similar_names():
    using = [
        str(file.relative_to(ROOT))
        for package in ("audit", "principles")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "difflib" for alias in node.names)
    ]
    assert using == ["audit/nearest_name.py"]
