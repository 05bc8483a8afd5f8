"""Where the checks are, told by the names of files: nothing of them is imported."""

from __future__ import annotations

import pkgutil
import re
from importlib.metadata import EntryPoint, entry_points

import principles

_CHECK = re.compile(r"p\d{3}_\w+")


def check_modules() -> list[str]:
    """The modules of the built-in checks: one file, one check, one id."""
    listed = pkgutil.walk_packages(principles.__path__, "principles.")
    return [info.name for info in listed if _CHECK.fullmatch(info.name.rpartition(".")[2])]


def plugged_checks() -> list[EntryPoint]:
    """Entry points of the group ``audit.checks``."""
    return list(entry_points(group="audit.checks"))


def check_ids() -> tuple[str, ...]:
    """The ids of all checks; only those of plug-ins have to be loaded for it."""
    found = [name.rpartition(".")[2].partition("_")[0].upper() for name in check_modules()]
    return tuple(sorted([*found, *(point.load().id for point in plugged_checks())]))
