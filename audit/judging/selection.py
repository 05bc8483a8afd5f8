"""Which checks run, and with which severities and thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from audit.config.settings import Settings, SettingsError
from audit.judging.written_checks import expect_matched, ids_of
from principles.catalogue import all_checks
from principles.check import Check
from principles.limits import LimitError

V = TypeVar("V")


def selected_checks(settings: Settings) -> list[Check]:
    """The checks that were asked for: ids, prefixes such as ``P1``, or ranges such as P101-P105.

    Raises:
        SettingsError: a name that matches no check, a threshold that no such check has, or no
            check left.
    """
    checks = list(all_checks())
    known = [c.id for c in checks]
    expect_matched([*settings.severity, *settings.thresholds], known)
    for word, values in settings.thresholds.items():
        _known_thresholds(word, values, checks)
    chosen = ids_of("select", settings.select, known) if settings.select else frozenset(known)
    chosen -= ids_of("ignore", settings.ignore, known)
    if not chosen:
        raise SettingsError("no check is left to run; select more or ignore fewer")
    return [c for c in checks if c.id in chosen]


def required_checks(settings: Settings, chosen: Iterable[Check]) -> frozenset[str]:
    """Ids of the checks that must come to a verdict, written as for `selected_checks`.

    Raises:
        SettingsError: a name that matches no check, or a required check that does not run.
    """
    found = ids_of("require", settings.require, [c.id for c in all_checks()])
    if missing := sorted(found - {c.id for c in chosen}):
        raise SettingsError(
            f"require: expected checks that run, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} left out by select or ignore; select or "
            "require them both"
        )
    return found


def by_check(values: Mapping[str, V], checks: Iterable[Check]) -> dict[str, V]:
    """Values by id, from values by id or prefix; the longest word that matches counts."""
    found: dict[str, V] = {}
    for word in sorted(values, key=len):
        found |= {c.id: values[word] for c in checks if _matches(c.id, (word,))}
    return found


def _known_thresholds(word: str, values: Mapping[str, float], checks: list[Check]) -> None:
    own = [c for c in checks if _matches(c.id, (word,))]
    for name, value in values.items():
        having = [c for c in own if name in c.thresholds]
        if not having:
            known = ", ".join(dict.fromkeys(n for c in own for n in c.thresholds)) or "none"
            raise SettingsError(f"check {word.upper()} has no threshold '{name}'; known: {known}")
        for check in having:
            _makes_sense(word, name, value, check)


def _makes_sense(word: str, name: str, value: float, check: Check) -> None:
    try:
        check.limits({name: value})
    except LimitError as error:
        raise SettingsError(
            f"threshold {word.upper()}.{name}: expected {error.wanted}, got {value:g}; the default "
            f"is {check.thresholds[name]:g}"
        ) from None


def _matches(check_id: str, words: Iterable[str]) -> bool:
    return any(check_id.startswith(word.upper()) for word in words if word)
