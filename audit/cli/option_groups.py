"""Several options as one decorator, and those of what an audit may take of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]


def together(options: Iterable[Decorator]) -> Callable[[Command], Command]:
    """A decorator that adds options in their order."""
    listed = list(options)

    def decorate(command: Command) -> Command:
        for option in reversed(listed):
            command = option(command)
        return command

    return decorate


limit_options = together(
    (
        click.option(
            "--workers",
            metavar="N|auto",
            help="Processes that measure side by side; the same comes out with any number.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            help="Where tasks are measured: processes of this machine, or a Ray cluster.",
        ),
        click.option(
            "--ray-address",
            metavar="HOST:PORT|local",
            help="Of the cluster, without it RAY_ADDRESS; local starts one on this machine.",
        ),
        click.option(
            "--cache",
            metavar="FOLDER|off",
            help="Evidence of model and data alone, which audits share; see 'audit cache'.",
        ),
        click.option(
            "--max-time",
            type=float,
            metavar="SECONDS",
            help="Measure nothing new after so many seconds; what is not settled is listed.",
        ),
        click.option(
            "--timeout", type=float, help="Seconds that one call of the explainer may take."
        ),
        click.option(
            "--memory", metavar="SIZE", help="Memory that the explainer may hold, such as 8GiB."
        ),
    )
)
