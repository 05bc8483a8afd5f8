"""Which checks run, and with which severities and thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from audit.config.settings import Settings, SettingsError
from audit.nearest_name import nearest_of
from principles.catalogue import all_checks
from principles.check import Check
from principles.limits import LimitError

V = TypeVar("V")


def selected_checks(settings: Settings) -> list[Check]:
    """The checks that were asked for, by id or by prefix such as ``P1``.

    Raises:
        SettingsError: a name that matches no check, a threshold that no such check has, or no
            check left.
    """
    checks = list(all_checks())
    for words in (settings.select, settings.ignore, settings.severity, settings.thresholds):
        _known(words, checks)
    for word, values in settings.thresholds.items():
        _known_thresholds(word, values, checks)
    chosen = [c for c in checks if not settings.select or _matches(c.id, settings.select)]
    chosen = [c for c in chosen if not _matches(c.id, settings.ignore)]
    if not chosen:
        raise SettingsError("no check is left to run; select more or ignore fewer")
    return chosen


def required_checks(settings: Settings, chosen: Iterable[Check]) -> frozenset[str]:
    """Ids of the checks that must come to a verdict: ids, prefixes or ranges such as P101-P105.

    Raises:
        SettingsError: a name that matches no check, or a required check that does not run.
    """
    known, running = [c.id for c in all_checks()], {c.id for c in chosen}
    found: set[str] = set()
    for word in settings.require:
        first, dash, last = (part.strip() for part in word.upper().partition("-"))
        for end in (first, last) if dash else (first,):
            if not _starting(known, end):
                hint = nearest_of("check", end, known)
                raise SettingsError(f"require: {hint}, a prefix such as P1, or a range: P101-P105")
        if dash and last < first:
            raise SettingsError(f"require: expected a range such as P101-P105, got '{word}'")
        last = last or first
        found |= {i for i in known if first <= i <= last or i.startswith(last)}
    if missing := sorted(found - running):
        raise SettingsError(
            f"require: expected checks that run, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} left out by select or ignore; select or "
            "require them both"
        )
    return frozenset(found)


def _starting(known: Iterable[str], prefix: str) -> list[str]:
    return [check for check in known if prefix and check.startswith(prefix)]


def by_check(values: Mapping[str, V], checks: Iterable[Check]) -> dict[str, V]:
    """Values by id, from values by id or prefix; the longest word that matches counts."""
    found: dict[str, V] = {}
    for word in sorted(values, key=len):
        found |= {c.id: values[word] for c in checks if _matches(c.id, (word,))}
    return found


def _known(words: Iterable[str], checks: list[Check]) -> None:
    for word in words:
        if not any(_matches(c.id, (word,)) for c in checks):
            names = [c.id for c in checks]
            raise SettingsError(
                f"{nearest_of('check', word.upper(), names)}, or a prefix such as P1"
            )


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
