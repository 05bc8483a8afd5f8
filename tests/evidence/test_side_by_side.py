"""Tasks side by side give what they give one after the other, also where a fork is killed."""

import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from audit.evidence.side_by_side import WATCHER, Forks, Line
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
    assert len(set(ended)) == 2


def test_no_fork_waits_while_there_are_tasks(tmp_path):
    """One task takes as long as all others together: one fork has it, the other has the rest."""

    def measure(number):
        time.sleep(1.5 if number == 0 else 0.1)
        return _squares(number)

    found = _all(_tasks(tmp_path, 2), measure)
    processes = [int(one.of["square"][1]) for one in found]
    assert processes.count(processes[0]) == 1
    assert len(set(processes)) == 2


def test_forks_that_end_before_they_take_a_task_are_not_begun_again_and_again(tmp_path):
    begun, here = [], os.getpid()

    def ends(parent):
        os._exit(1)

    forks = Forks(2, ends, begun.append)
    found = _all(Tasks(tmp_path, executor=forks), _squares)
    assert {int(one.of["square"][1]) for one in found} == {here}
    assert len(begun) <= 3


@pytest.mark.parametrize("how", ["raises", "is killed"])
def test_what_fails_in_every_fork_is_not_tried_in_one_for_each_task(tmp_path, how):
    here, begun = os.getpid(), []

    def measure(number):
        if os.getpid() != here and how == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.getpid() != here:
            msg = "not in a fork"
            raise ValueError(msg)
        return _squares(number)

    forks = Forks(2, ended=begun.append)
    names = {f"task {n}": lambda n=n: measure(n) for n in range(40)}
    found = Tasks(tmp_path, executor=forks).all_kept(Drawn, names)
    assert [one.of["square"][0] for one in found] == [n**2 for n in range(40)]
    assert len(begun) <= 3


@pytest.mark.parametrize("most", [0, 1])
def test_where_there_is_no_room_for_a_process_tasks_are_measured_all_the_same(
    tmp_path, monkeypatch, most
):
    begun, fork = [], os.fork

    def limited():
        if len(begun) == most:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        begun.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", limited)
    found = _all(_tasks(tmp_path, 3), _squares)
    assert [one.of["square"][0] for one in found] == [0, 1, 4, 9, 16]
    processes = {int(one.of["square"][1]) for one in found}
    assert (os.getpid() in processes) is (most == 0)


def test_more_tasks_than_a_pipe_holds_numbers(tmp_path):
    told, count = [], 30_000
    Forks(2).run(tmp_path, {str(n): lambda: None for n in range(count)}, told.append)
    assert told[-1] == count
    assert told == sorted(told)


def test_a_pipe_of_a_single_page_holds_the_line(monkeypatch):
    """Linux makes no larger ones for a user who has many pipes: more would be waited for."""
    make = os.pipe

    def small():
        ends = make()
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(ends[1], False)
        return ends

    monkeypatch.setattr(os, "pipe", small)
    for count in (999, 1_000, 9_999):
        Line([lambda: None] * count).close()


def test_forks_leave_no_pipe_open(tmp_path):
    before = len([*Path("/proc/self/fd").iterdir()])
    _all(_tasks(tmp_path, 2), _squares)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize(("name", "forks"), [(WATCHER, True), ("pool", False)])
def test_no_fork_where_an_explainer_keeps_a_thread(monkeypatch, name, forks):
    there = [threading.main_thread(), threading.Thread(name=name)]
    monkeypatch.setattr(threading, "enumerate", lambda: there)
    assert Forks(2).may_run() is forks
    assert not Forks(1).may_run()
