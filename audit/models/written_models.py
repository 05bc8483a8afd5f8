"""What can be told of a model's name and weights by reading, without importing anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from audit import foreign_import
from audit.models.errors import ModelError
from audit.models.model_sources import SOURCES, ModelSource, source_of
from audit.models.wanted import RANDOM, looks_like_file
from audit.nearest_name import hint
from audit.written_names import find_module, read_written

BUNDLED = "bundled"
_WHAT = "model"
_LIBRARY: Mapping[str, str] = {"timm": "timm.models", "torchvision": "torchvision.models"}
_REGISTERED = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)", re.MULTILINE)
_DEVICE = re.compile(r"[a-z]+(?::\d+)?")


def expect_written_model(name: str, pretrained: str | None, device: str = "cpu") -> None:
    """Refuse a model that surely cannot be loaded, before anything heavy is imported.

    What only an import can tell is let through.

    Args:
        name: as `audit.models.loading.load_model` takes it, as the others.
        pretrained: tag or file of its weights, or ``random``.
        device: torch device.

    Raises:
        ModelError: nothing has this name, or no weights of it have that one.
    """
    if not _DEVICE.fullmatch(device):
        raise ModelError(unknown_device(device))
    source = source_of(name)
    rest = name.removeprefix(source.prefix)
    if source.key == "file":
        _expect_function(name)
    elif source.key == "local-dir" and not Path(rest).is_dir():
        raise ModelError(f"expected open_clip_config.json in the folder '{rest}', found no folder")
    elif source.key in _LIBRARY:
        _expect_name(source, name, rest.partition(".")[0])
    elif source.key == "open_clip" and name != BUNDLED:
        _expect_architecture(name, pretrained)


def expect_written_ladder(sources: Iterable[str]) -> None:
    """Refuse ``NAME:TAG`` of which no library has the name, see `expect_written_model`."""
    for one in sources:
        name, colon, tag = one.partition(":")
        if colon and source_of(one).key == "open_clip" and not looks_like_file(one):
            _expect_architecture(name, tag)


def unknown_device(name: str) -> str:
    """What is said of a device that torch does not have."""
    return f"unknown device '{name}'; expected cpu, cuda, cuda:1, …"


def unknown_architecture(name: str, known: Iterable[str]) -> str:
    """What is said of a name that open_clip does not have."""
    names = list(known)
    library, colon, _ = name.partition(":")
    prefixes = [source.prefix for source in SOURCES.values() if source.prefix]
    close = hint(library + colon, prefixes) if colon else ""
    close = close or hint(name, [*names, BUNDLED], cutoff=0.6 if colon else 0.3)
    return f"unknown model '{name}'{close}; 'audit list models open_clip' shows all {len(names)}"


def no_weights(name: str, tags: Iterable[str]) -> str:
    """What is said of an architecture whose weights are not stated."""
    return (
        f"'{name}' is an architecture without weights; state them with --pretrained: "
        f"{', '.join([*tags, 'a checkpoint file'])}, or random"
    )


def unknown_tag(name: str, pretrained: str, tags: Iterable[str]) -> str:
    """What is said of weights that open_clip does not have."""
    known = list(tags)
    return (
        f"unknown weights '{pretrained}' of '{name}'{hint(pretrained, known, cutoff=0.3)}; known "
        f"tags: {', '.join(known)}"
    )


def _expect_function(name: str) -> None:
    if name.endswith(".py"):
        raise ModelError(foreign_import.no_function_named(_WHAT, name))
    place, _, function = name.rpartition(":")
    file = Path(place).expanduser()
    if not file.is_file():
        raise ModelError(foreign_import.no_file(_WHAT, place, function))
    written = read_written(file.resolve())
    if written and written.lacks(function):
        raise ModelError(
            foreign_import.no_member(_WHAT, name, function, written.file, written.callables())
        )


def _expect_name(source: ModelSource, name: str, model: str) -> None:
    """A name stands somewhere in the library's code, be it that of a former model."""
    texts = _texts(_LIBRARY[source.key])
    word = re.compile(rf"\b{re.escape(model)}\b")
    if texts and not any(model in text and word.search(text) for text in texts):
        close = hint(model, [one for text in texts for one in _REGISTERED.findall(text)])
        raise ModelError(
            f"unknown model '{name}'{close}; 'audit list models {source.key}' shows all"
        )


def _expect_architecture(name: str, pretrained: str | None) -> None:
    folder = _folder("open_clip")
    names = sorted(one.stem for one in folder.glob("model_configs/*.json")) if folder else []
    if not names:
        return
    if name not in names:
        raise ModelError(unknown_architecture(name, names))
    tags = written_tags().get(name)
    if tags and pretrained is None:
        raise ModelError(no_weights(name, tags))
    if tags and pretrained not in {*tags, RANDOM, None} and not looks_like_file(str(pretrained)):
        raise ModelError(unknown_tag(name, str(pretrained), tags))


@cache
def written_tags() -> Mapping[str, list[str]]:
    """The tags of open_clip's architectures, as its tables are written; empty where they are not.

    A table is a dictionary of the tags of an architecture; one table names them all.
    """
    folder = _folder("open_clip")
    written = read_written(folder / "pretrained.py") if folder else None
    names = written.names if written else {}
    found: dict[str, list[str]] = {}
    for statement in names.values():
        match statement:
            case ast.Assign(value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant):
                        found[str(key.value)] = _tags_in(value, names)
    return found


def _tags_in(value: ast.expr, names: Mapping[str, ast.stmt]) -> list[str]:
    """The keys of a table, written out or under a name; none where it is anything else."""
    match value:
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=tags):
            return [str(tag.arg) for tag in tags]
        case ast.Name(id=name):
            statement = names.get(name)
            return _tags_in(statement.value, {}) if isinstance(statement, ast.Assign) else []
    return []


@cache
def _texts(package: str) -> tuple[str, ...]:
    """The code of a package; empty where it is not installed."""
    folder = _folder(package)
    return tuple(one.read_text("utf-8") for one in sorted(folder.rglob("*.py"))) if folder else ()


def _folder(package: str) -> Path | None:
    try:
        file = find_module(package)
    except ModuleNotFoundError:
        return None
    return file.parent if file else None
