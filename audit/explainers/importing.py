"""Explainers outside this package: files, modules and entry points."""

from __future__ import annotations

from audit.explainers.errors import ExplainerImportError
from audit.explainers.explainer_class import expect_explainer_class
from audit.explainers.known_names import WHAT
from audit.foreign_import import Importer

_IMPORTER = Importer(
    WHAT,
    "(model, images, targets) -> maps",
    ExplainerImportError,
    expect_explainer_class,
)
from_plugin = _IMPORTER.from_plugin
from_file = _IMPORTER.from_file
from_module = _IMPORTER.from_module
