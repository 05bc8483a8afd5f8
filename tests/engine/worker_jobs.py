"""What workers of the tests of supervision run: one job for each way in which a process ends."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from audit.explainers.call_observer import calling


def adds(*, one, two, board):
    board.enter("gathering sums")
    board.tell("adding", 1, 2)
    return {"sum": one + two}


def shouts(*, board):
    print("x" * 3_000_000)
    sys.stderr.write("the end\n")
    return "done"


def raises_usage(*, board):
    from audit.config.settings import SettingsError

    raise SettingsError("expected a fish, got a bicycle")


def raises_a_fault(*, board):
    raise RuntimeError("out of fish")


def exits(*, board):
    board.enter("gathering maps")
    with calling("mine.py:exits", 3):
        os._exit(0)


def interrupts_itself(*, board):
    raise KeyboardInterrupt


def crashes(*, board):
    with calling("mine.py:crashes", 1):
        ctypes.string_at(0)


def is_killed(*, board):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(*, board):
    with calling("mine.py:hangs", 2):
        time.sleep(1000)


def leaks(*, board):
    held = []
    while True:
        held.append(bytearray(50_000_000))
        time.sleep(0.02)


def leaks_in_a_child(*, board):
    code = "import time; held = bytearray(400_000_000); time.sleep(1000)"
    subprocess.run([sys.executable, "-c", code], check=False)


def closes_everything(*, board):
    sys.stdout.close()
    os.closerange(0, 100)
    board.tell("still here", 1, 1)
    return "honest"


def leaves_a_child(*, board):
    code = "import time; time.sleep(1000)"
    return subprocess.Popen([sys.executable, "-c", code]).pid


def registers_an_exit(*, board):
    import atexit

    atexit.register(lambda: os._exit(0))
    return "honest"


def calls_live(*, function, board):
    return function(20)


def closes_output_at_every_call(*, board):
    for _ in range(3):
        with calling("mine.py:closes", 1):
            os.close(1)
            os.close(2)
        with Path(os.devnull).open("rb") as file:
            if file.fileno() < 3:
                raise RuntimeError("a file has taken the place of a standard stream")
    print("heard")
    return "honest"
