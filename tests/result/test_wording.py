"""Words, numbers and foreign strings; and the terminal, which is made of them."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from audit.reports import statuses
from audit.reports.terminal import Detail, render_terminal
from audit.result import wording as words
from audit.result.finding import Verdict
from audit.result.numbers import Interval, Statistic
from audit.result.schema import Result

MINUS, DASH, TIMES = words.MINUS, words.DASH, words.TIMES


def printed(
    result: Result, *, encoding: str = "utf-8", terminal: bool = False, detail: Detail = "all"
) -> str:
    """What appears on a console of 100 columns."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    console = Console(file=stream, width=100, force_terminal=terminal, color_system=None)
    if terminal:
        console = Console(file=stream, width=100, force_terminal=True, color_system="standard")
    console.print(render_terminal(result, "out/report.html", detail))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (float("nan"), DASH),
        (float("inf"), DASH),
        (0, "0"),
        (0.0, "0"),
        (4, "4"),
        (192.0, "192"),
        (1_043_712, "1,043,712"),
        (0.8, "0.800"),
        (0.0834, "0.0834"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (-0.25, MINUS + "0.250"),
        (0.9999, "0.9999"),
        (0.99, "0.990"),
        (2.2e-7, f"2.2{TIMES}10⁻⁷"),
        (1e-5, f"1{TIMES}10⁻⁵"),
        (3.14e12, f"3.1{TIMES}10¹²"),
        (-1e-9, f"{MINUS}1{TIMES}10⁻⁹"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert words.number(value) == text


def test_statistics_in_words() -> None:
    one = Statistic(name="s", value=0.81, interval=Interval(low=0.79, high=0.83), threshold=1e-5,
                    good_side="below", unit="points")  # fmt: skip
    assert words.statistic_phrase(one) == (
        f"0.810 points [0.790, 0.830] (should be at most 1{TIMES}10⁻⁵ points)"
    )
    bare = Statistic(name="s", value=97.5, unit="%", interval=Interval(low=90, high=None))
    assert words.statistic_phrase(bare) == "97.5% from 90"
    assert words.statistic_phrase(Statistic(name="s", value=None, threshold=2)) == (
        f"{DASH} (threshold 2)"
    )


def test_p_values_are_never_zero_and_say_what_was_adjusted() -> None:
    one = Statistic(name="s", value=0.5, p=0.031, p_test="sign flips", p_adjusted=0.12)
    assert words.statistic_phrase(one) == "0.500 p 0.031, Holm 0.12"
    assert words.p_phrase(Statistic(name="s", value=0.5, p=2e-9)) == "p < 0.0001"
    assert words.p_phrase(Statistic(name="s", value=0.5)) == ""
    told = Statistic(name="s", value=0.5, p=0.03, p_test="sign flips, the null being no gain")
    assert words.p_phrase(told) == "p 0.03 (null: no gain)"
    assert words.p_value(1e-4) == "0.0001"
    assert words.extras(one) == []
    with pytest.raises(ValueError, match="greater than 0"):
        Statistic(name="s", value=0.5, p=0.0)


def test_whatever_else_a_statistic_states_is_told() -> None:
    class Tested(Statistic):
        adjusted_p_value: float | None = None
        pairs_needed: int | None = None

    assert words.extras(Statistic(name="s", value=1, n=3, unit="%")) == []
    assert words.extras(Tested(name="s", value=1, adjusted_p_value=0.0123)) == [
        ("adjusted p value", "0.0123")
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("Größe, 大きさ, שלום", "Größe, 大きさ, שלום"),
        ("a\x00b\x1b[31m", "a⟨U+0000⟩b⟨U+001B⟩[31m"),
        ("gpj.\u202exe", "gpj.⟨U+202E⟩xe"),
        ("\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\uffff", "⟨U+FFFF⟩"),
        ("a\r\nb\rc", "a\nb⟨U+000D⟩c"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_what_acts_is_spelled_out(text: str, shown: str) -> None:
    assert words.visible(text) == shown


def test_tally_counts_in_order_of_weight(result: Result) -> None:
    assert statuses.tally(result) == (
        "2 violations, 1 error, 1 warning, 1 waived, 1 inconclusive, 2 passed, 1 not applicable"
    )


def test_terminal_says_verdict_number_sentence_and_place(result: Result) -> None:
    text = printed(result)
    assert "✕ Violation  grad-eclip explains another model" in text
    assert "✕ P105 computation-preserved  violation" in text
    assert "p 0.64, Holm 0.81" in text
    assert f"0.810 [0.790, 0.830] (should be at most 1{TIMES}10⁻⁵)" in text
    assert "Block 4 runs with 1 head where the model has 4" in text
    told = [check for check in result.checks if statuses.remedy(check)]
    assert Verdict.VIOLATION in {check.finding.verdict for check in told}
    assert text.count("What to do: ") == len(told)
    assert f"What to do: {statuses.remedy(told[0])}"[:80] in text
    assert "report: out/report.html" in text
    assert "exit code 1" in text
    assert "\x1b" not in text


def test_terminal_without_unicode_still_reads(result: Result) -> None:
    text = printed(result, encoding="ascii")
    assert "x P105 computation-preserved  violation" in text
    assert "(should be at most 1e-5)" in text
    assert "+ P101 weights-unchanged  pass" in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_foreign_text_sends_nothing_to_the_terminal(hostile: Result, encoding: str) -> None:
    text = printed(hostile, encoding=encoding, terminal=True)
    assert "*_[x](javascript" in text.replace("\n", "").replace(" ", "")
    colors = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", colors)
    assert max(len(line) for line in colors.splitlines()) <= 100


def test_terminal_shows_what_failed_first_and_what_passed_in_a_line(result: Result) -> None:
    text = printed(result, detail="usual")
    heads = re.findall(r"^. (P\d+) .*  ([a-z ]+)$", text, re.MULTILINE)
    order = [status.word.lower() for status in statuses.STATUSES]
    assert [word for _, word in heads] == sorted((w for _, w in heads), key=order.index)
    assert len(heads) == len(result.checks)
    passed = [c for c in result.checks if c.finding.verdict.value == "pass"]
    assert passed
    assert not any(check.finding.summary in text for check in passed)
    assert "Block 4 runs with 1 head" in text
    quiet = printed(result, detail="verdict")
    assert quiet.startswith("✕ Violation  grad-eclip explains another model")
    assert "P105" not in quiet.partition("(")[2].partition("\n")[2]
    assert len(quiet) < len(text) < len(printed(result))
