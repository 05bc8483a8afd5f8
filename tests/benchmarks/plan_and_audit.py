"""What `audit plan` says beside what the audit then takes: time by kind, memory and disk.

``python -m tests.benchmarks.plan_and_audit --explainer NAME [WORDS of audit check …]`` plans and
audits with one process and no cache, one after the other, and prints both. Passes are compared by
the suite. On a machine that is busy otherwise the times are those of two moments: load average is
printed beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from audit.engine.supervision import memory_held
from tests.kills import ENVIRONMENT

ALONE = ("--workers", "1", "--cache", "off", "--no-history")


def run(words: list[str]) -> tuple[float, float, int, str]:
    """Seconds of wall and processor time, most bytes of memory, and standard output."""
    began, most = time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "audit", *words], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    processor = 0.0
    while process.poll() is None:
        time.sleep(0.2)
        workers = psutil.Process(process.pid).children() if psutil.pid_exists(process.pid) else []
        for worker in workers:
            most = max(most, memory_held(worker.pid))
            try:
                processor = max(processor, sum(worker.cpu_times()[:2]))
            except psutil.Error:
                continue
    out = process.stdout.read() if process.stdout else ""
    return time.perf_counter() - began, processor, most, out


def told(wall: float, processor: float) -> str:
    """Seconds in words."""
    load = os.getloadavg()[0]
    return f"{wall:6.1f} s wall, {processor:6.1f} s of processor, load average {load:.1f}"


def main() -> None:
    """Print the table."""
    words = [*(sys.argv[1:] or ["--explainer", "grad-eclip"]), *ALONE]
    wall, processor, _, out = run(["plan", *words, "--json"])
    plan = json.loads(out)
    print(
        f"plan  {wall:6.1f} s wall, {processor:6.1f} s of processor, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        wall, processor, memory, _ = run(
            ["check", *words, "--out", folder, "--format", "json", "-q"]
        )
        print(f"audit {told(wall, processor)}")
        took = json.loads((Path(folder) / "result.json").read_text())["timing"]["gathering"]
        evidence = Path(folder) / "evidence"
        sizes = {kind: sum(f.stat().st_size for f in evidence.glob(f"{kind}.*")) for kind in took}
        disk = sum(f.stat().st_size for f in evidence.rglob("*") if f.is_file())
    parts = {part["what"]: part for part in plan["parts"]}
    print(f"{'':20} {'planned':>9} {'took':>9} {'planned':>12} {'on disk':>12}")
    for kind, seconds in took.items():
        part = parts[kind]
        print(
            f"{kind:20} {part['seconds']:7.1f} s {seconds:7.1f} s {part['bytes']:12,} "
            f"{sizes[kind]:12,}"
        )
    said = [part for name, part in parts.items() if name in took or name == "starting"]
    print(f"time   {sum(p['seconds'] for p in said):9.1f} s planned {wall:9.1f} s")
    print(f"memory {plan['memory'] / 2**20:9,.0f} MiB planned {memory / 2**20:9,.0f} MiB")
    print(f"disk   {sum(p['bytes'] for p in said):12,} planned {disk:12,}")


if __name__ == "__main__":
    main()
