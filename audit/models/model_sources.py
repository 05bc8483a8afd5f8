"""The sources of models: which name means which, and who loads it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from audit.models.model_under_audit import ModelInterface
    from audit.models.wanted import Wanted

    Loaded = tuple[nn.Module, ModelInterface, tuple[str, ...]]
    Loader = Callable[[str, str | None, Wanted], Loaded]

GROUP = "audit.models"
_PYTHON = ".py:"


@dataclass(frozen=True)
class ModelSource:
    """A source of models, imported when it is asked.

    Attributes:
        key: what it is called in ``audit list models KEY``.
        form: of its names.
        what: they are.
        loader: ``module:function`` within this package.
        names: likewise, for the names with their weights; empty where they are not listed.
        package: the distribution whose version a result states.
        prefix: of its names.
        whole: whether a name states its weights too.
    """

    key: str
    form: str
    what: str
    loader: str
    names: str = ""
    package: str = ""
    prefix: str = ""
    whole: bool = False

    def load(self, name: str, pretrained: str | None, wanted: Wanted) -> Loaded:
        """The module on the CPU, how it is called, and what is to be told of its weights."""
        loader: Loader = _named(self.loader)
        return loader(name, pretrained, wanted)

    def known(self) -> dict[str, list[str]] | None:
        """Every name with the tags of its weights; None where they cannot be listed."""
        return _named(self.names)() if self.names else None


SOURCES: Mapping[str, ModelSource] = {
    source.key: source
    for source in (
        ModelSource(
            "open_clip",
            "NAME, such as ViT-B-16",
            "two towers of open_clip",
            "open_clip_source:load_open_clip",
            "open_clip_source:known_models",
            "open_clip_torch",
        ),
        ModelSource(
            "local-dir",
            "local-dir:FOLDER",
            "a folder with open_clip_config.json and weights",
            "open_clip_source:load_open_clip",
            prefix="local-dir:",
            whole=True,
        ),
        ModelSource(
            "timm",
            "timm:NAME",
            "image classifiers of timm",
            "timm_source:load_timm",
            "timm_source:known_models",
            "timm",
            "timm:",
        ),
        ModelSource(
            "torchvision",
            "torchvision:NAME",
            "image classifiers of torchvision",
            "torchvision_source:load_torchvision",
            "torchvision_source:known_models",
            "torchvision",
            "torchvision:",
        ),
        ModelSource(
            "hf",
            "hf:FOLDER",
            "a folder of transformers, or a name in the hub's cache",
            "transformers_source:load_transformers",
            package="transformers",
            prefix="hf:",
            whole=True,
        ),
        ModelSource(
            "file",
            "FILE.py:FUNCTION",
            "a model of your own: see docs/models.md",
            "file_source:load_own",
            whole=True,
        ),
        ModelSource(
            "plugin",
            "NAME",
            "entry points of the group audit.models",
            "file_source:load_plugin",
            "model_sources:plugin_names",
            whole=True,
        ),
    )
}


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.models`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def plugin_names() -> dict[str, list[str]]:
    """The names of the entry points, which state their weights themselves."""
    return {name: [] for name in plugins()}


def source_of(name: str) -> ModelSource:
    """The source that a name of a model means: by its prefix, or that of names without one."""
    for source in SOURCES.values():
        if source.prefix and name.startswith(source.prefix):
            return source
    if _PYTHON in name or name.endswith(_PYTHON.rstrip(":")):
        return SOURCES["file"]
    return SOURCES["plugin" if name in plugins() else "open_clip"]


def _named(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"audit.models.{module}"), function)
