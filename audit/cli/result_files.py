"""Results on the command line: read from their files, and shown in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.printing import say_as_is, show

if TYPE_CHECKING:
    from audit.reports.terminal import Detail
    from audit.result.schema import Result

result_file = click.Path(exists=True, dir_okay=False)


def read_result(path: str | Path) -> Result:
    """The result in a file; see `audit.result.document.read_result`."""
    from audit.result import document

    return document.read_result(Path(path))


def show_result(
    result: Result, folder: Path, formats: tuple[str, ...], detail: Detail = "usual"
) -> None:
    """Print the summary of a result whose reports were written to a folder."""
    from audit.reports.formats import FORMATS
    from audit.reports.terminal import render_terminal

    shown = "html" if "html" in formats else next(iter(formats), "json")
    path = folder / FORMATS[shown].file_name
    show(render_terminal(result, path, detail))
    if "github" in formats:
        say_as_is(FORMATS["github"].render(result))
