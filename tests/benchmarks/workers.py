"""One audit with one process and with several, side by side.

``python -m tests.benchmarks.workers [--workers 1,2] [WORDS of audit check …]`` prints the wall time
of each, how many times as fast it is as the first, and whether the findings are equal. By default
the default audit of `grad-eclip`. The machine must have so many idle cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.kills import ENVIRONMENT

DEFAULT = ("--explainer", "grad-eclip")


def audited(workers: int, words: list[str], folder: Path) -> tuple[float, list[object]]:
    """Seconds of an audit, and its findings."""
    out = folder / str(workers)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "audit", "check", *words, "--workers", str(workers),
         "--no-history", "--format", "json", "--out", str(out)],
        env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    checks = json.loads((out / "result.json").read_text())["checks"]
    return seconds, [check["finding"] for check in checks]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2", help="numbers of processes")
    given, words = parser.parse_known_args()
    first: tuple[float, list[object]] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for workers in map(int, given.workers.split(",")):
            seconds, findings = audited(workers, words or list(DEFAULT), Path(folder))
            first = first or (seconds, findings)
            alike = "the same findings" if findings == first[1] else "OTHER FINDINGS"
            print(f"{workers:3} processes {seconds:7.1f} s {first[0] / seconds:5.2f}x  {alike}")


if __name__ == "__main__":
    main()
