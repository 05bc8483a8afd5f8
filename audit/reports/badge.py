"""A badge for a project's page: a small picture of the verdict, which loads nothing."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape, quoteattr

from audit.reports import statuses
from audit.result import wording as words
from audit.result.schema import Result

_COLORS: Final = {"pass": "#1c6a41", "violation": "#a61b1b", "incomplete": "#7b2a8c"}
_CHARACTER: Final = 6.6  # pixels of a character of 11 pixels height, about
_PADDING: Final = 10
_LONGEST: Final = 40


def render_badge(result: Result) -> str:
    """The badge of one audit, as SVG."""
    return badge(result.explainer.name, statuses.verdict_word(result).lower(), result.verdict)


def badge(subject: str, word: str, verdict: str) -> str:
    """A badge with a subject, a word beside it, and the color of a verdict.

    Args:
        subject: what was audited.
        word: what came of it.
        verdict: of an audit, such as ``pass``.
    """
    left, right = (words.visible(words.shorten(text, _LONGEST)) for text in (subject, word))
    one, other = (round(len(text) * _CHARACTER) + _PADDING for text in (left, right))
    width, label = one + other, f"{left}: {right}"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label={quoteattr(label)}>
<title>{escape(label)}</title>
<rect width="{one}" height="20" fill="#3a3f45"/>
<rect x="{one}" width="{other}" height="20" fill="{_COLORS[verdict]}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">
<text x="{one / 2}" y="14">{escape(left)}</text>
<text x="{one + other / 2}" y="14">{escape(right)}</text>
</g>
</svg>
"""
