"""What supervision costs: an audit in a process of its own beside the same one without.

``python tests/benchmarks/supervision.py [--repeats 5]``. The bars are 3 s on the wall, and a small
process in memory, the supervisor. Both audit `gradient` on two pairs by one check, alternating.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import psutil

HERE = """\
import sys
from audit.config.settings import Settings
from audit.engine.auditing import run_audit
from audit.engine.progress import silent
from audit.reports.output import write_reports
from pathlib import Path
settings = Settings(explainer="gradient", samples=2, select=("P101",), out=sys.argv[1])
write_reports(run_audit(settings, silent).result, Path(sys.argv[1]), ("json", "html"))
"""
WORDS = ("check", "-e", "gradient", "--samples", "2", "--select", "P101", "--no-history")


def timed(command: list[str]) -> tuple[float, float]:
    """Wall seconds, and the peak MiB of the first process."""
    started, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.05):
                try:
                    peak = max(peak, watched.memory_info().rss)
                except psutil.Error:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        done.set()
        watcher.join()
    if code != 0:
        raise RuntimeError(f"expected exit code 0, got {code} from {command}")
    return time.perf_counter() - started, peak / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    alone, supervised = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            alone.append(timed([sys.executable, "-c", HERE, folder]))
            command = [sys.executable, "-m", "audit", *WORDS, "--out", folder]
            supervised.append(timed(command))
    one, two = (statistics.median(s for s, _ in found) for found in (alone, supervised))
    memory = max(peak for _, peak in supervised)
    print(f"in one process {one:.2f} s, supervised {two:.2f} s, difference {two - one:+.2f} s")
    print(f"the supervisor holds {memory:.0f} MiB at most (medians of {repeats})")


if __name__ == "__main__":
    main()
