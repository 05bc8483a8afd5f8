"""Progress bars: quiet without a terminal, with rate and time left on one."""

import io
from unittest.mock import Mock

import pytest
from rich.progress import Task

from audit.cli import progress_bars as progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_silent_where_nobody_watches(capsys):
    with progress.progress_bars() as tell:
        assert tell is progress.silent
        tell("ladder", 1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("steps", [1, 3])
def test_bars_show_phase_count_and_rate(monkeypatch, steps):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.progress_bars() as tell:
        for step in range(1, steps + 1):
            tell("ladder", step, 3)
    assert "ladder" in screen.getvalue()
    assert f"{steps}/3" in screen.getvalue()


def test_a_stage_that_counts_nothing_is_named_and_gives_way_to_the_next(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.progress_bars() as tell:
        tell("starting", 0, 0)
        tell("reading the data", 0, 0)
        tell("ladder", 1, 3)
    last = screen.getvalue().rsplit("reading the data", 1)[1]
    assert "ladder" in last
    assert "starting" not in last


def test_rate_is_empty_until_known():
    unknown, known = Mock(spec=Task, speed=None), Mock(spec=Task, speed=12.34)
    column = progress.RateColumn()
    assert column.render(unknown).plain == ""
    assert column.render(known).plain == "12.3/s"
