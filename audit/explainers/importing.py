"""Explainers outside this package: files, modules and entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from audit.explainers.errors import ExplainerImportError
from audit.explainers.explainer_class import expect_explainer_class
from audit.foreign_import import Importer

GROUP = "audit.explainers"

_IMPORTER = Importer(
    "explainer",
    "(model, images, targets) -> maps",
    ExplainerImportError,
    expect_explainer_class,
)
from_plugin = _IMPORTER.from_plugin
from_file = _IMPORTER.from_file
from_module = _IMPORTER.from_module


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.explainers`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}
