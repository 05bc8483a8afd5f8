"""How verdicts, numbers and foreign strings are put into words, alike in every report."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final

from audit.result.numbers import Interval, Statistic
from audit.result.schema import Result

__all__ = [
    "ascii_only",
    "bounds",
    "data_phrase",
    "explainer_phrase",
    "extras",
    "model_phrase",
    "number",
    "p_phrase",
    "p_value",
    "percent",
    "shorten",
    "statistic_phrase",
    "target",
    "visible",
]

_OWN_COLUMN: Final = frozenset(
    [
        "name",
        "value",
        "interval",
        "threshold",
        "good_side",
        "n",
        "smallest_visible_effect",
        "unit",
        "p",
        "p_test",
        "p_adjusted",
    ]
)
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT: Final = frozenset("\n\t")
MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
_RAISED: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_SUPERSCRIPT: Final = str.maketrans("0123456789-", _RAISED)
_DIGITS: Final = str.maketrans(_RAISED, "0123456789-")
_POWER: Final = re.compile(f"{TIMES}10([{_RAISED}]+)")
_LATIN: Final = str.maketrans({MINUS: "-", DASH: "-", TIMES: "x", "…": "...", "⟨": "<", "⟩": ">"})


def number(value: float | None, digits: int = 3) -> str:
    """A number for readers: `digits` significant ones, a true minus, powers of ten where needed.

    ``None`` and what is not finite become an en dash.
    """
    if value is None or not math.isfinite(value):
        return DASH
    if isinstance(value, int) or (value == int(value) and abs(value) < 10_000):
        return f"{int(value):,}".replace("-", MINUS)
    magnitude = abs(value)
    if 1e-3 <= magnitude < 1e5:
        places = max(0, digits - 1 - math.floor(math.log10(magnitude)))
        while magnitude < 1 and places < 8 and round(magnitude, places) == 1:
            places += 1  # 0.9999 is not 1.000
        return f"{value:,.{places}f}".replace("-", MINUS)
    mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
    power = str(int(exponent)).translate(_SUPERSCRIPT)
    return f"{mantissa.removesuffix('.0')}{TIMES}10{power}".replace("-", MINUS)


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 pair``, ``1,000 pairs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(value: float | None) -> str:
    """A share as a percentage, such as ``97.4 %``."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value * 100:.1f} %"


def bounds(interval: Interval | None) -> str:
    """An interval such as ``[0.38, 0.44]`` or ``from 0.38``; empty where there is none."""
    if interval is None or (interval.low is None and interval.high is None):
        return ""
    if interval.high is None:
        return f"from {number(interval.low)}"
    if interval.low is None:
        return f"up to {number(interval.high)}"
    return f"[{number(interval.low)}, {number(interval.high)}]"


def target(statistic: Statistic) -> str:
    """What the statistic is compared with, such as ``at most 0.001``; empty without a threshold."""
    if statistic.threshold is None:
        return ""
    word = {"above": "above ", "below": "at most ", None: ""}
    return f"{word[statistic.good_side]}{number(statistic.threshold)}{_unit(statistic)}"


def statistic_phrase(statistic: Statistic) -> str:
    """Value, interval and threshold of a statistic on one line, without its name."""
    parts = [number(statistic.value) + _unit(statistic)]
    parts += [bounds(statistic.interval)] if bounds(statistic.interval) else []
    if statistic.threshold is not None:
        word = "should be" if statistic.good_side else "threshold"
        parts.append(f"({word} {target(statistic)})")
    parts += [p_phrase(statistic)] if statistic.p is not None else []
    return " ".join(parts)


def p_value(value: float | None) -> str:
    """A p-value with two significant digits, such as ``0.031`` or ``< 0.0001``."""
    if value is None or not math.isfinite(value):
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def p_phrase(statistic: Statistic) -> str:
    """The p-value, raw and adjusted, and of which null hypothesis; empty without one.

    Such as ``p 0.0021, Holm 0.013 (null: no relation)``: the null need not be the threshold.
    """
    if statistic.p is None:
        return ""
    adjusted = statistic.p_adjusted
    values = f"p {p_value(statistic.p)}" + (f", Holm {p_value(adjusted)}" if adjusted else "")
    _, _, null = statistic.p_test.partition("the null being ")
    return f"{values} (null: {null})" if null else values


def extras(statistic: Statistic) -> list[tuple[str, str]]:
    """Names and values of whatever else a statistic states, such as a count of pairs."""
    stated = {name: getattr(statistic, name) for name in type(statistic).model_fields}
    return [
        (name.replace("_", " "), number(value) if isinstance(value, int | float) else str(value))
        for name, value in stated.items()
        if name not in _OWN_COLUMN and value is not None
    ]


def explainer_phrase(result: Result) -> str:
    """The explainer with its options, such as ``grad-eclip (heads=model)``."""
    options = ", ".join(f"{key}={value}" for key, value in sorted(result.explainer.options.items()))
    return f"{result.explainer.name} ({options})" if options else result.explainer.name


def model_phrase(result: Result) -> str:
    """The model and its weights, such as ``ViT-B-16, openai``."""
    model = result.model
    return f"{model.name}, {model.pretrained}" if model.pretrained else model.name


def data_phrase(result: Result) -> str:
    """The data and how much of them, such as ``photos, 240 pairs, grid 2×2, 60 sets``."""
    data = result.data
    parts = [data.name, counted(data.pairs, "pair")]
    if data.grid:
        parts.append(f"grid {data.grid}{TIMES}{data.grid}")
        parts += [counted(data.clusters, "set")] if data.clusters else []
    return ", ".join(parts)


def visible(text: str) -> str:
    """Show what would act on the display instead of standing in it, such as ``⟨U+202E⟩``.

    Control characters but line feed and tab, marks that turn the direction of writing, lone
    surrogates and noncharacters are spelled out; so the text can reach a terminal, an XML
    document or a page, and reads in the order in which it is stored.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(char) if _acts(char) else char for char in text.replace("\r\n", "\n"))


def shorten(text: str, limit: int = 300) -> str:
    """`text` up to `limit` characters; what is left out is counted."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def ascii_only(text: str) -> str:
    """`text` where nothing but ASCII can be written; powers of ten become ``1e-5``."""
    text = _POWER.sub(lambda found: "e" + found[1].translate(_DIGITS), text)
    return text.translate(_LATIN).encode("ascii", "backslashreplace").decode()


def _unit(statistic: Statistic) -> str:
    if not statistic.unit:
        return ""
    return statistic.unit if statistic.unit in {"%", "°", TIMES} else f" {statistic.unit}"


def _acts(char: str) -> bool:
    if char in _KEPT:
        return False
    return (
        char in _BIDI
        or char in "\u2028\u2029\ufeff"
        or unicodedata.category(char) in {"Cc", "Cs"}
        or ord(char) & 0xFFFE == 0xFFFE
    )


def _spelled(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"
