"""Whatever the process of an explainer does, its supervisor says what happened and decides."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from audit.engine.progress import STARTING
from audit.engine.status_board import StatusBoard
from audit.engine.supervision import Limits, WorkerEndedError, supervised
from audit.engine.worker_process import Job, can_fork
from audit.errors import INCOMPLETE, USAGE, ReportedError, ending

GENEROUS = Limits(timeout=60)
STARTING_STEP = (STARTING, 0, 0)


def run(function, limits=GENEROUS, tell=lambda *_: None, live=None, **arguments):
    return supervised(
        Job(f"tests.engine.worker_jobs:{function}", arguments, live or {}), limits, tell
    )


def test_the_result_and_the_progress_arrive():
    told = []
    assert run("adds", tell=lambda *words: told.append(words), one=2, two=3) == {"sum": 5}
    first, *more = told
    assert first == STARTING_STEP  # before the process has loaded anything
    assert more in (
        [],
        [("gathering sums", 0, 0), ("adding", 1, 2)],
    )  # a job this short may end between two looks


def test_progress_is_told_while_it_works():
    told = []
    with pytest.raises(WorkerEndedError):
        run("hangs", Limits(timeout=1), tell=lambda *words: told.append(words))
    assert told == [STARTING_STEP]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("exits", "explainer 'mine.py:exits' was called on 3 pairs, gathering maps.*exit code 0"),
        ("crashes", "'mine.py:crashes' was called on 1 pair, at .*string_at.*SIGSEGV"),
        ("is_killed", "SIGKILL .*out of memory, or by hand"),
    ],
)
def test_a_process_that_ends_is_an_error_that_names_what_ran(function, words):
    with pytest.raises(WorkerEndedError, match=words) as caught:
        run(function)
    assert ending(caught.value)[1] == INCOMPLETE
    assert "the same command goes on from there" in str(caught.value)


def test_the_line_of_a_crash_is_named():
    with pytest.raises(WorkerEndedError) as caught:
        run("crashes")
    assert "in string_at" in caught.value.where


def test_a_call_that_hangs_is_ended():
    started = time.monotonic()
    with pytest.raises(WorkerEndedError, match=r"'mine.py:hangs'.*longer than 0.5 s.*--timeout"):
        run("hangs", Limits(timeout=0.5))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("function", ["leaks", "leaks_in_a_child"])
def test_memory_of_the_process_and_its_children_is_bounded(function):
    with pytest.raises(
        WorkerEndedError, match=r"[0-9.]+ GiB of memory, more than 0.3 GiB.*--memory"
    ):
        run(function, Limits(timeout=60, memory=int(0.3 * 2**30)))


def test_what_is_raised_keeps_its_message_and_exit_code():
    with pytest.raises(ReportedError, match="expected a fish, got a bicycle") as usage:
        run("raises_usage")
    assert ending(usage.value) == ("expected a fish, got a bicycle", USAGE)
    assert usage.value.traceback == ""
    with pytest.raises(ReportedError, match="RuntimeError: out of fish") as fault:
        run("raises_a_fault")
    assert ending(fault.value)[1] == INCOMPLETE
    assert "worker_jobs.py" in fault.value.traceback


def test_closed_streams_and_exit_handlers_do_not_matter():
    assert run("closes_everything") == "honest"
    assert run("registers_an_exit") == "honest"


def test_a_stream_that_is_closed_at_every_call_is_open_in_between(capfd):
    assert run("closes_output_at_every_call") == "honest"
    assert "heard" in capfd.readouterr().err


def test_output_is_passed_on_up_to_a_limit(capfd):
    assert run("shouts") == "done"
    shown = capfd.readouterr().err
    assert 1_000_000 <= shown.count("x") <= 1_000_100
    assert "2,000,0" in shown
    assert "more characters of the explainer's output" in shown


def test_no_process_is_left_behind():
    pid = run("leaves_a_child")
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_live_objects_are_pickled_where_this_process_has_threads():
    factor = 3
    assert run("calls_live", live={"function": lambda n: n * factor}) == 60


def test_live_objects_are_forked_in_a_process_of_one_thread():
    code = (
        "import sys, tempfile\n"
        "from audit.engine.supervision import Limits, supervised\n"
        "from audit.engine.worker_process import Job, can_fork\n"
        "assert can_fork()\n"
        "lock = __import__('threading').Lock()  # cannot be pickled\n"
        "def live(n):\n    with lock: return n * 2\n"
        "job = Job('tests.engine.worker_jobs:calls_live', {}, {'function': live})\n"
        "print(supervised(job, Limits(60), lambda *_: None))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "40", done.stderr


def test_a_killed_supervisor_takes_its_worker_along(tmp_path):
    code = (
        "import sys\n"
        "from audit.engine.supervision import Limits, supervised\n"
        "from audit.engine.worker_process import Job\n"
        "job = Job('tests.engine.worker_jobs:hangs', {})\n"
        "supervised(job, Limits(600), lambda *_: None)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    worker = None
    deadline = time.monotonic() + 30
    while worker is None and time.monotonic() < deadline:
        children = psutil.Process(parent.pid).children()
        worker = next((c for c in children if "worker" in " ".join(c.cmdline())), None)
        time.sleep(0.05)
    assert worker is not None
    time.sleep(1)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs([worker], timeout=10)
    assert gone
    assert not alive


def test_a_torn_page_is_not_read(tmp_path):
    writer = StatusBoard(tmp_path / "page", create=True)
    reader = StatusBoard(tmp_path / "page", create=False)
    writer.tell("one", 1, 2)
    assert reader.read().phase == "one"
    page = (tmp_path / "page").read_bytes()
    (tmp_path / "page").write_bytes(page[:10] + b"X" + page[11:])
    assert reader.read().phase == "one"
    writer.tell("two", 2, 2)
    assert reader.read().phase == "two"


def test_a_process_with_threads_is_not_forked():
    import threading

    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert not can_fork()
    finally:
        release.set()
        thread.join()
