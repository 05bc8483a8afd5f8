"""The names of explainers, without importing one: a slip of the pen is answered at once."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points

from audit.explainers.built_in import BUILT_IN
from audit.explainers.errors import UnknownExplainerError
from audit.nearest_name import hint

GROUP = "audit.explainers"
QUERY = re.compile(r"^(?P<name>.+?)\?(?P<query>[^?=&]+=[^?&]*(?:&[^?=&]+=[^?&]*)*)$")
INVERTED = "inverted:"


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.explainers`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def expect_known_name(spec: str) -> None:
    """Refuse a plain name that stands for no explainer; files and modules are not looked at.

    Raises:
        UnknownExplainerError: the name is not registered; the message offers the nearest one.
    """
    name = spec
    while name.startswith(INVERTED):
        name = name.removeprefix(INVERTED)
    match = QUERY.match(name)
    name = match["name"] if match else name
    if ":" in name or name.endswith(".py") or name in BUILT_IN or name in plugins():
        return
    raise unknown_explainer(name)


def unknown_explainer(name: str) -> UnknownExplainerError:
    """The error of a name that stands for nothing."""
    return UnknownExplainerError(
        f"unknown explainer '{name}'{hint(name, [*BUILT_IN, *plugins()])}; `audit list "
        "explainers` shows all; a file is given as path/to/file.py:function, a module as "
        "package.module:function"
    )
