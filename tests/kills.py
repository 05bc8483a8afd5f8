"""Audits that are killed at random moments, and finished by the same command.

``python -m tests.kills`` kills audits of three kinds, principle 1, principle 2 and look by look, at
20 moments each, the supervisor and the worker in turn, runs the same command again, and compares
the result, byte for byte but for times, with that of an audit that nobody disturbed. It also counts
the pairs that were explained: in both runs together no more than without the kill, plus what was in
flight, which is what was explained after the last evidence had been kept. Three such kills are in
the suite (`tests/engine/test_kills.py`).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
P1, P2 = "P101,P104,P105,P106,P107,P109", "P201,P202,P205,P206"
KINDS = {
    "principle 1": ("--samples", "8", "--select", P1),
    "principle 2": ("--samples", "8", "--select", P2),
    "look by look": ("--samples", "auto", "--budget", "16", "--select", P2),
}
COUNTED = """\
import time
from pathlib import Path

from audit.explainers.registry import load_explainer

METHOD = load_explainer("grad-eclip", {})


def explain(model, images, targets):
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write(f"{time.time_ns()} {len(images)}\\n")
    return METHOD.explain(model, images, targets)
"""


@dataclass(frozen=True)
class Killed:
    """How an audit went on that was killed.

    Attributes:
        code: exit code of the second run.
        same: the result is that of an undisturbed audit, but for times.
        kept: files of evidence that the kill left.
        again: pairs explained in both runs beyond those of an undisturbed audit.
        in_flight: pairs explained after the last evidence had been kept, and to set an audit up.
        messages: standard error of the second run.
        first: the result that the first run left, if any.
    """

    code: int
    same: bool
    kept: int
    again: int
    in_flight: int
    messages: str
    first: dict | None

    @property
    def right(self):
        return self.same and self.again <= self.in_flight


class Audits:
    """Audits of one kind, each in an output folder of its own, by an explainer that counts."""

    def __init__(self, folder, model, words):
        self.folder = Path(folder)
        self.words = ("--model", model, "--profile", "quick", "--no-history", *words)
        (self.folder / "counted.py").write_text(COUNTED)
        begun = time.monotonic()
        self.code, _ = ended(self.start("whole"))
        self.seconds = time.monotonic() - begun
        self.whole, self.pairs = self.document("whole"), self.explained()
        ended(self.start("whole", "--reuse"))
        self.set_up = self.explained() - self.pairs

    def start(self, out, *more):
        command = [sys.executable, "-P", "-m", "audit", "check", "-e", "counted.py:explain"]
        return subprocess.Popen(
            [*command, *self.words, *more, "--format", "json", "--out", out],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def document(self, out):
        """The result without its times, and without the folder that it was written to."""
        found = json.loads((self.folder / out / "result.json").read_text())
        return {k: v for k, v in found.items() if k != "timing"}

    def explained(self, since=0):
        """Pairs explained so far, or after a time in nanoseconds."""
        calls = [line.split() for line in (self.folder / "calls").read_text().splitlines()]
        return sum(int(pairs) for at, pairs in calls if int(at) >= since)

    def killed(self, out, victim, wait):
        """Kill an audit's supervisor or worker once ``wait(process)`` returns, and run it again."""
        before = self.explained()
        process = self.start(out)
        wait(process)
        worker = worker_of(process)
        killed = process.pid if victim == "supervisor" or worker is None else worker
        if process.poll() is None:
            os.kill(killed, signal.SIGKILL)
        ended(process)
        gone(worker)
        kept = {p: p.stat().st_mtime_ns for p in (self.folder / out).rglob("*.npz")}
        in_flight = self.explained(max(kept.values(), default=0)) - (0 if kept else before)
        result = self.folder / out / "result.json"
        first = json.loads(result.read_text()) if result.exists() else None
        done = first is not None and first["verdict"] != "incomplete"
        code, messages = ended(self.start(out))
        return Killed(
            code=code,
            same=code == self.code and self.document(out) == self.whole,
            kept=len(kept),
            again=0 if done else self.explained() - before - self.pairs,
            in_flight=in_flight + self.set_up,
            messages=messages,
            first=first,
        )


def ended(process):
    _, messages = process.communicate(timeout=280)
    return process.returncode, messages


def worker_of(process):
    try:
        return next((child.pid for child in psutil.Process(process.pid).children()), None)
    except psutil.Error:
        return None


def gone(pid):
    """Wait until a worker has ended that outlived its supervisor for a moment."""
    while pid is not None and psutil.pid_exists(pid):
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    rng, wrong = random.Random(arguments.seed), 0  # noqa: S311 - moments, no secrets
    for kind in arguments.kinds:
        words = KINDS[kind]
        with tempfile.TemporaryDirectory() as folder:
            audits = Audits(folder, arguments.model, words)
            print(f"{kind}: {audits.pairs} pairs explained in {audits.seconds:.1f} s undisturbed")
            for number in range(arguments.moments):
                at = rng.uniform(0, audits.seconds)
                victim = ("supervisor", "worker")[number % 2]
                found = audits.killed(f"killed-{number}", victim, lambda _, at=at: time.sleep(at))
                wrong += not found.right
                print(
                    f"  {victim} at {at:5.1f} s: {found.kept:2} files kept, {found.again:3} pairs "
                    f"again of {found.in_flight:3} in flight, "
                    f"{'same bytes' if found.same else 'ANOTHER RESULT'}",
                    flush=True,
                )
    every = len(arguments.kinds) * arguments.moments
    print(f"{every - wrong} of {every} right")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
