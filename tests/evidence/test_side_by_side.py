"""Tasks side by side give what they give one after the other, also where a fork is killed."""

import os
import signal
import threading

import numpy as np
import pytest

from audit.evidence.side_by_side import WATCHER, Forks
from audit.evidence.tasks import Drawn, Tasks


@pytest.fixture(autouse=True)
def _threads_of_an_audit(monkeypatch):
    """A process that runs tests has threads of its own."""
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread()])


def _tasks(tmp_path, count):
    return Tasks(tmp_path, executor=Forks(count))


def _squares(number):
    return Drawn({"square": np.array([number**2, os.getpid()])})


def _all(tasks, measure, told=lambda _: None):
    names = {f"task {n}": lambda n=n: measure(n) for n in range(5)}
    return tasks.all_kept(Drawn, names, told)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_number_of_processes_gives_the_same_in_the_same_order(tmp_path, count):
    told = []
    found = _all(_tasks(tmp_path, count), _squares, told.append)
    assert [one.of["square"][0] for one in found] == [0, 1, 4, 9, 16]
    processes = {int(one.of["square"][1]) for one in found}
    assert (processes == {os.getpid()}) is (count == 1)
    assert told[-1] == 5
    assert told == sorted(told)


def test_what_is_kept_is_not_measured_again(tmp_path):
    _all(_tasks(tmp_path, 2), _squares)
    again = _all(_tasks(tmp_path, 2), lambda n: pytest.fail("measured again"))
    assert [one.of["square"][0] for one in again] == [0, 1, 4, 9, 16]


def test_what_a_killed_fork_leaves_undone_is_measured_here(tmp_path):
    here = os.getpid()

    def measure(number):
        if number == 3 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return _squares(number)

    found = _all(_tasks(tmp_path, 2), measure)
    assert [one.of["square"][0] for one in found] == [0, 1, 4, 9, 16]
    assert int(found[3].of["square"][1]) == here


def test_what_a_task_raises_is_raised_here(tmp_path):
    def measure(number):
        if number == 2:
            msg = "no maps today"
            raise ValueError(msg)
        return _squares(number)

    with pytest.raises(ValueError, match="no maps today"):
        _all(_tasks(tmp_path, 2), measure)


def test_a_fork_is_begun_and_its_end_is_told(tmp_path):
    ended = []
    begins = tmp_path / "begun"
    forks = Forks(2, lambda parent: begins.write_text(str(parent)), ended.append)
    _all(Tasks(tmp_path / "kept", executor=forks), _squares)
    assert begins.read_text() == str(os.getpid())
    assert len(set(ended)) == 5


@pytest.mark.parametrize(("name", "forks"), [(WATCHER, True), ("pool", False)])
def test_no_fork_where_an_explainer_keeps_a_thread(monkeypatch, name, forks):
    there = [threading.main_thread(), threading.Thread(name=name)]
    monkeypatch.setattr(threading, "enumerate", lambda: there)
    assert Forks(2).may_run() is forks
    assert not Forks(1).may_run()
