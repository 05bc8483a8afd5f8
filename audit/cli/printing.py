"""How a command writes a line: names of files, labels and errors of others never act on a terminal.

A name may hold escape sequences, marks that turn the direction of writing, or a line feed followed
by what a CI service takes for a command (``::error``). All but line feed and tab is spelled out,
and each further line of a message starts with a bar.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from audit.errors import IncompleteError

if TYPE_CHECKING:
    from rich.console import RenderableType


def say(text: str, *, err: bool = False) -> None:
    """Write text whose control characters are spelled out, to standard output or error."""
    from audit.result.wording import visible

    _write(visible(text) + "\n", err=err)


def show(what: RenderableType) -> None:
    """Write what rich lays out for this terminal to standard output."""
    from rich.console import Console

    console = Console(soft_wrap=False)
    with console.capture() as captured:
        console.print(what)
    _write(captured.get(), err=False)


def say_as_is(text: str) -> None:
    """Write lines that other programs read, and that have no control characters, as they are."""
    _write(text + "\n", err=False)


def say_lines(lines: Iterable[str]) -> None:
    """Write lines of a list to standard output; a name with a line feed in it makes no two."""
    say("\n".join(line.replace("\n", "⟨U+000A⟩") for line in lines))


def say_message(message: str) -> None:
    """Write a message to standard error; a line feed in it starts no line of its own kind."""
    say("audit: " + "\n| ".join(message.split("\n")), err=True)


@contextlib.contextmanager
def verdict_stands() -> Iterator[None]:
    """Where standard output takes no more, say so, and go on to the exit code of the verdict."""
    try:
        yield
    except OutputLostError as error:
        say_message(str(error))


class OutputLostError(IncompleteError):
    """Standard output took no more."""


def _write(text: str, *, err: bool) -> None:
    try:
        click.echo(text, err=err, nl=False)
    except (OSError, ValueError) as error:
        if err:
            return  # there is nobody left to tell
        with contextlib.suppress(OSError, ValueError):  # so that nothing fails again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if getattr(error, "errno", None) == errno.EPIPE:
            return  # the reader has read what it wanted
        cause = getattr(error, "strerror", None) or error
        raise OutputLostError(f"cannot write to standard output: {cause}") from error
