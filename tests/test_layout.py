"""Files and functions of a size that a reader holds in mind, and one name for one thing."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_LINES, MOST_IN_FUNCTION = 300, 60
MAY_REPEAT = {"__init__.py", "errors.py"}


def sources():
    return [f for top in ("audit", "principles") for f in sorted((ROOT / top).rglob("*.py"))]


def shown(file):
    return file.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_three_hundred_lines():
    long = {shown(f) for f in sources() if len(f.read_text().splitlines()) > MOST_LINES}
    assert not long


def test_no_function_is_longer_than_sixty_lines():
    long = {
        f"{shown(file)}: {node.name}"
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MOST_IN_FUNCTION
    }
    assert not long


def test_no_file_name_stands_for_two_things():
    counted = Counter(f.name for f in sources())
    repeated = {name for name, count in counted.items() if count > 1} - MAY_REPEAT
    assert not repeated
