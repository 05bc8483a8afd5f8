"""All checks: the built-in ones, one file each, and those of plug-ins."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint

from principles.check import Check, documentation_of
from principles.check_names import check_modules, plugged_checks


@lru_cache(maxsize=1)
def all_checks() -> tuple[Check, ...]:
    """Every check, by id.

    Raises:
        ValueError: where a check's file does not document it, or two checks share an id.
    """
    found = []
    for name in check_modules():
        module = importlib.import_module(name)
        found.append(replace(module.CHECK, documentation=documentation_of(module)))
    found.extend(_plugged(point) for point in plugged_checks())
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
