"""How a command writes a line: names of files, labels and errors of others never act on a terminal.

A name may hold escape sequences, marks that turn the direction of writing, or a line feed followed
by what a CI service takes for a command (``::error``). All but line feed and tab is spelled out,
and each further line of a message starts with a bar.
"""

from __future__ import annotations

from collections.abc import Iterable

import click


def say(text: str, *, err: bool = False) -> None:
    """Write text whose control characters are spelled out, to standard output or error."""
    from audit.result.wording import visible

    click.echo(visible(text), err=err)


def say_lines(lines: Iterable[str]) -> None:
    """Write lines of a list to standard output; a name with a line feed in it makes no two."""
    say("\n".join(line.replace("\n", "⟨U+000A⟩") for line in lines))


def say_message(message: str) -> None:
    """Write a message to standard error; a line feed in it starts no line of its own kind."""
    say("audit: " + "\n| ".join(message.split("\n")), err=True)
