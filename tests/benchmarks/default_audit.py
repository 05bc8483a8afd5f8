"""Time and peak memory of whole audits, and of ``audit --help``.

``python tests/benchmarks/default_audit.py [--explainer grad-eclip] [--pairs 48 96 192 384]``. The
bars are 240 s on the wall for the default of 192 pairs, half a second for the help, and memory that
does not grow with the pairs by more than their pictures, maps and figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(*words: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of a command."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "audit", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explainer", default="grad-eclip")
    parser.add_argument("--pairs", type=int, nargs="+", default=[192])
    chosen = parser.parse_args()
    best = min(timed("--help")[0] for _ in range(5))
    print(f"audit --help: {best:.2f} s (best of 5)")
    before: tuple[int, float] | None = None
    for pairs in chosen.pairs:
        with tempfile.TemporaryDirectory() as folder:
            words = ("check", "--explainer", chosen.explainer, "--out", folder, "--no-history")
            wall, processor, peak = timed(*words, "--samples", str(pairs))
            result = json.loads((Path(folder) / "result.json").read_text())
            size = (Path(folder) / "report.html").stat().st_size / 1e6
        growth = ""
        if before is not None:
            growth = f" ({(peak - before[1]) / (pairs - before[0]):.2f} MiB a further pair)"
        before = (pairs, peak)
        print(
            f"{chosen.explainer}, {pairs} pairs: {wall:.0f} s, {processor:.0f} s of processor, "
            f"peak {peak:.0f} MiB{growth}; report {size:.2f} MB; exit code {result['exit_code']}"
        )
        for kind, spent in result["timing"]["gathering"].items():
            print(f"  {kind:<20} {spent:7.1f} s")


if __name__ == "__main__":
    main()
