"""How people write which checks they mean: ids, prefixes and ranges, alike in every setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit.config.settings import Settings, SettingsError
from audit.nearest_name import nearest_of
from principles.check_names import check_ids


def expect_known_checks(settings: Settings) -> None:
    """Refuse names of checks that there are not, before anything heavy is imported.

    Raises:
        SettingsError: a word in ``select``, ``ignore`` or ``require`` that matches no check, or a
            severity or threshold of none.
    """
    known = check_ids()
    for setting in ("select", "ignore", "require"):
        ids_of(setting, getattr(settings, setting), known)
    expect_matched([*settings.severity, *settings.thresholds], known)


def expect_matched(words: Iterable[str], known: Sequence[str]) -> None:
    """Every word is an id or a prefix of one.

    Raises:
        SettingsError: one matches no check.
    """
    for word in words:
        if not any(word and check.startswith(word.upper()) for check in known):
            raise SettingsError(
                f"{nearest_of('check', word.upper(), known)}, or a prefix such as P1"
            )


def ids_of(setting: str, words: Iterable[str], known: Sequence[str]) -> frozenset[str]:
    """The ids that words stand for: ids, prefixes, or ranges of these.

    Args:
        setting: where the words stand, for messages.
        words: such as ``P104``, ``P1`` or ``P101-P105``; case does not count.
        known: all ids.

    Raises:
        SettingsError: a word that matches no check, or a range that ends before it begins.
    """
    found: set[str] = set()
    for word in words:
        first, dash, last = (part.strip() for part in word.upper().partition("-"))
        for end in (first, last) if dash else (first,):
            if not end or not any(check.startswith(end) for check in known):
                hint = nearest_of("check", end, known)
                raise SettingsError(
                    f"{setting}: {hint}, a prefix such as P1, or a range: P101-P105"
                )
        if dash and last < first:
            raise SettingsError(f"{setting}: expected a range such as P101-P105, got '{word}'")
        last = last or first
        found |= {i for i in known if first <= i <= last or i.startswith(last)}
    return frozenset(found)
