"""No metric lies idle: the product reaches every file of `audit.metrics`."""

import ast
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]


def test_every_file_of_metrics_is_reached_by_the_product():
    graph = grimp.build_graph("audit", "principles", cache_dir=None)
    reached = {"audit.cli.main"} | graph.find_upstream_modules("audit.cli.main")
    metrics = graph.find_descendants("audit.metrics")
    assert "audit.metrics.localization" in reached
    assert metrics - {"audit.metrics.neighbor_means"} <= reached  # that one is an empty package


def test_every_public_function_of_metrics_is_used_by_the_product():
    files = [f for top in ("audit", "principles") for f in (ROOT / top).rglob("*.py")]
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    used = {
        name
        for tree in trees.values()
        for node in ast.walk(tree)
        for name in (getattr(node, "id", None), getattr(node, "attr", None))
    }
    defined = {
        node.name
        for file, tree in trees.items()
        for node in tree.body
        if "metrics" in file.parts and isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert "energy_gain" in defined
    assert defined <= used
