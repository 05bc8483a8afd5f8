"""All checks: the built-in ones, one file each, and those of plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

import principles
from principles.check import Check, documentation_of


@lru_cache(maxsize=1)
def all_checks() -> tuple[Check, ...]:
    """Every check, by id.

    Raises:
        ValueError: where a check's file does not document it, or two checks share an id.
    """
    found = []
    for info in pkgutil.walk_packages(principles.__path__, "principles."):
        if _is_check(info.name):
            module = importlib.import_module(info.name)
            found.append(replace(module.CHECK, documentation=documentation_of(module)))
    found.extend(_plugged(point) for point in entry_points(group="audit.checks"))
    ids = [check.id for check in found]
    if len(set(ids)) != len(ids):
        raise ValueError(f"expected distinct check ids, found {sorted(ids)}")
    return tuple(sorted(found, key=lambda check: check.id))


def _plugged(point: EntryPoint) -> Check:
    """The check of a plug-in, documented by its module's docstring unless it documents itself."""
    check: Check = point.load()
    if check.documentation:
        return check
    return replace(check, documentation=documentation_of(importlib.import_module(point.module)))


def _is_check(name: str) -> bool:
    last = name.rpartition(".")[2]
    return len(last) > 4 and last[0] == "p" and last[1:4].isdigit() and last[4] == "_"
