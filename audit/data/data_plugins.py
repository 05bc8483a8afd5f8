"""Data of other distributions: entry points of the group ``audit.data``."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from audit.data.errors import DataError
from audit.foreign_import import Importer

if TYPE_CHECKING:
    from audit.data.labelled_pictures import LabelledPictures

GROUP = "audit.data"
FORM = "() -> LabelledPictures"


class DataImportError(DataError):
    """The code of a data source cannot be imported, or raises.

    Attributes:
        traceback: the original traceback as text, empty where nothing raised.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


_IMPORTER = Importer("data", FORM, DataImportError)


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.data`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_plugin(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of an entry point: a function that takes nothing and gives them.

    Args:
        name: of the entry point.
        allow_outside: handed over by keyword where the function takes it.

    Raises:
        DataError: it cannot be imported, raises, or gives something else.
    """
    from audit.data.labelled_pictures import LabelledPictures

    function = _IMPORTER.from_plugin(plugins()[name])
    asks = "allow_outside" in inspect.signature(function).parameters
    try:
        found = function(allow_outside=allow_outside) if asks else function()
    except DataError:
        raise
    except Exception as error:  # of another distribution's code
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"data '{name}': its function raised {cause}") from error
    if not isinstance(found, LabelledPictures):
        raise DataError(
            f"data '{name}': expected a function that returns LabelledPictures of "
            f"audit.data.labelled_pictures, got {type(found).__name__}"
        )
    return found
