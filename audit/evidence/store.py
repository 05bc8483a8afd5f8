"""Evidence on disk: one JSON and one NPZ file a kind, written at once or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from audit.errors import IncompleteError

T = TypeVar("T")
_ARRAY = "__array__"


class StoreError(ValueError):
    """Evidence cannot be read or written; the message says where and what to do."""


class StoreWriteError(StoreError, IncompleteError):
    """Evidence cannot be written; what was finished before stays."""


def save(folder: Path, name: str, value: Any) -> None:
    """Write one kind of evidence.

    Args:
        folder: created where it is missing.
        name: of the kind; files are ``name.json`` and ``name.npz``.
        value: a frozen dataclass of arrays, numbers, strings, and such dataclasses.

    Raises:
        StoreWriteError: the disk is full or the folder cannot be written; nothing half-written
            stays.
    """
    arrays: dict[str, np.ndarray] = {}
    document = json.dumps(_plain(value, arrays), indent=1, sort_keys=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _replacing(folder / f"{name}.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        with _replacing(folder / f"{name}.json") as file:
            file.write(document.encode())
    except OSError as error:
        raise StoreWriteError(
            f"cannot write evidence '{name}' to '{folder}': {error.strerror or error}; free space "
            "or choose another --out; evidence that is finished stays, and the same command goes "
            "on from there"
        ) from error


def load(folder: Path, name: str, kind: type[T]) -> T | None:
    """Read one kind of evidence; None where it was never finished.

    Raises:
        StoreError: the files are damaged or of another version.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        document = _filled(json.loads(path.read_text()), arrays)
        return TypeAdapter(kind).validate_python(document)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"evidence '{name}' in '{folder}' cannot be read ({error}); remove the folder and "
            "gather again"
        ) from error


def is_there(folder: Path, name: str) -> bool:
    """Whether a kind of evidence was finished, sound or not."""
    return (folder / f"{name}.json").is_file()


def load_if_sound(folder: Path, name: str, kind: type[T]) -> T | None:
    """Like `load`; None as well where the files are damaged, so that it is gathered again."""
    try:
        return load(folder, name, kind)
    except StoreError:
        return None


class _replacing:  # noqa: N801 - used like a function
    """Write to a temporary file and put it in place only when complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")

    def __enter__(self) -> Any:
        self.file = self.part.open("wb")
        return self.file

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.file.close()
            if kind is None:
                os.replace(self.part, self.path)  # noqa: PTH105
        finally:
            self.part.unlink(missing_ok=True)


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {_ARRAY: key}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        # Names of arrays do not go by the order in which a dictionary was filled.
        return {str(k): _plain(value[k], arrays) for k in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(v, arrays) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _filled(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {k: _filled(v, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, arrays) for v in value]
    return value
