"""How the values of options are read."""

from __future__ import annotations

from collections.abc import Iterable

import click


def pairs_of(_: click.Context, parameter: click.Parameter, words: Iterable[str]) -> dict[str, str]:
    """``key=value`` words as a dictionary."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected KEY=VALUE, got '{word}'", param=parameter)
        found[key] = value
    return found


def words_of(_: click.Context, __: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """Words that may also be joined by commas."""
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def thresholds_of(
    context: click.Context, parameter: click.Parameter, words: Iterable[str]
) -> dict[str, dict[str, float]]:
    """``CHECK.NAME=NUMBER`` words as numbers by check and name."""
    found: dict[str, dict[str, float]] = {}
    for key, value in pairs_of(context, parameter, words).items():
        check, dot, name = key.partition(".")
        try:
            number = float(value)
        except ValueError:
            dot = ""
        if not (check and dot and name):
            raise click.BadParameter(
                f"expected CHECK.NAME=NUMBER, such as P201.clear=0.6, got '{key}={value}'",
                param=parameter,
            )
        found.setdefault(check.upper(), {})[name] = number
    return found


def samples_of(_: click.Context, parameter: click.Parameter, word: str | None) -> int | str | None:
    """A number of pairs, or ``auto``."""
    if word is None or word == "auto":
        return word
    if not word.isdigit():
        raise click.BadParameter(f"expected a number or auto, got '{word}'", param=parameter)
    return int(word)


def grid_of(_: click.Context, parameter: click.Parameter, word: str | None) -> int | str | None:
    """Cells on either side of a grid, or ``off`` or ``auto``."""
    if word is None or word in {"auto", "off"}:
        return word
    if not (word.isdigit() and 2 <= int(word) <= 8):
        raise click.BadParameter(
            f"expected a number from 2 to 8 or off, got '{word}'", param=parameter
        )
    return int(word)


def severities_of(
    context: click.Context, parameter: click.Parameter, words: Iterable[str]
) -> dict[str, str]:
    """``CHECK=error`` or ``CHECK=warning`` words."""
    return {k.upper(): v for k, v in pairs_of(context, parameter, words).items()}
