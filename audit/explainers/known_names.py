"""The names of explainers, without importing one: a slip of the pen is answered at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from audit.explainers.built_in import BUILT_IN
from audit.explainers.errors import UnknownExplainerError
from audit.nearest_name import hint

GROUP = "audit.explainers"
QUERY = re.compile(r"^(?P<name>.+?)\?(?P<query>[^?=&]+=[^?&]*(?:&[^?=&]+=[^?&]*)*)$")
INVERTED = "inverted:"
FORMS: Mapping[str, str] = {
    "inverted:<explainer>": "The maximum of an explainer's map minus that map.",
    "maps:<file.npz>": "Maps that were drawn elsewhere, of what `audit pairs` writes.",
    "captum:<class>": "A method of captum.attr on the score, such as Saliency.",
    "pytorch-grad-cam:<class>": "A method of pytorch-grad-cam, such as GradCAM, at one layer or "
    "several.",
}
"""Names that take another name, and what each means."""
WHAT = "explainer"
SAVED = "np.savez(FILE, keys=keys, maps=maps)"
"""How maps are saved that `audit.explainers.saved_maps` reads."""


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.explainers`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def registered() -> list[str]:
    """The names of all explainers, and the forms that take another name."""
    plugged = sorted(name for name in plugins() if name not in BUILT_IN)
    return [*BUILT_IN, *plugged, *FORMS]


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


def unknown_method(prefix: str, method: str, known: Iterable[str], module: str) -> str:
    """What is said of a class that an adapted library does not have."""
    return f"unknown method '{prefix}:{method}'{hint(method, known)}; expected a class of {module}"


def no_saved_maps(file: str) -> str:
    """What is said of a file of maps that is not there."""
    return (
        f"explainer 'maps:{file}': expected a file of maps, found none; 'audit pairs' writes the "
        f"pairs to draw them of, {SAVED} saves them"
    )
