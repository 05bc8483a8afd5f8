"""Forward passes until the checks of principle 2 are settled, against a fixed sample.

``python -m tests.benchmarks.passes_to_verdict [EXPLAINER …] [--budget 384] [--design NAME]``
audits explainers on the bundled model look by look (``--samples auto``) and with fixed samples of
the same error rates, and counts the pictures whose patches are embedded: passes of any copy of the
model, and of explainers that go through its blocks themselves. Designs:

- ``looks``: as audits are by default.
- ``zone``: a fixed sample, judged with the same indifference zone. It has 0.93 of the budget's
  pairs: in simulation (`tests/judging/test_multiplicity.py`) that many see the smallest effect of
  the looks with the same power, 0.9.
- ``threshold``: the fixed sample that one threshold for passes and violations takes, the middle of
  the zone. What has to be refuted lies half as far away, so it takes four times the pairs to see
  the same effect with the same power (same file). Passes are counted of that many pairs; the
  verdicts printed are those of the zone here too.

Measured, passes look by look, in brackets the pairs at the last look, and for one threshold (1,428
pairs): grad-attention 5,542 (136) and 50,014; raw-attention 9,467 (384) and 50,765; grad-eclip
11,702 (273) and 68,615; edges 4,681 (273) and 35,100. That is 6.5 times fewer in all; judged by
the zone, every check is settled alike by both. Five CPU minutes an explainer. The fixed samples
are measured before anybody judges: the looks also leave out what no check turns out to need.

Against a zone with a fixed sample of 357 pairs an earlier edition took 2.2 times fewer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from audit.config.settings import Settings
from audit.engine.auditing import run_audit
from audit.engine.progress import silent
from audit.result.schema import Result

EXPLAINERS = ("grad-attention", "raw-attention", "grad-eclip", "edges")
SHARE, ONE_THRESHOLD = 0.93, 4
DESIGNS = ("looks", "zone", "threshold")


@contextmanager
def counted() -> Iterator[list[int]]:
    """Pictures whose patches are embedded inside, as the only entry of a list."""
    count = [0]

    def see(module: torch.nn.Module, given: tuple[object, ...]) -> None:
        if isinstance(module, torch.nn.Conv2d) and isinstance(given[0], torch.Tensor):
            count[0] += len(given[0])

    handle = register_module_forward_pre_hook(see)
    try:
        yield count
    finally:
        handle.remove()


def audited(explainer: str, samples: int | str, budget: int) -> tuple[Result, int, float]:
    """The result, the pictures and the CPU seconds of an audit."""
    with tempfile.TemporaryDirectory() as folder, counted() as count:
        started = time.process_time()
        settings = Settings(
            explainer=explainer, samples=samples, budget=budget, select=("P2",), out=folder,
            history=False,
        )  # fmt: skip
        result = run_audit(settings, silent).result
        return result, count[0], time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("explainers", nargs="*", default=EXPLAINERS)
    parser.add_argument("--budget", type=int, default=384)
    parser.add_argument("--design", choices=DESIGNS, action="append")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    fixed = round(SHARE * chosen.budget)
    samples = {"looks": "auto", "zone": fixed, "threshold": ONE_THRESHOLD * fixed}
    rows, designs = [], chosen.design or DESIGNS
    for explainer in chosen.explainers:
        row = {"explainer": explainer}
        for name in designs:
            result, passes, seconds = audited(explainer, samples[name], chosen.budget)
            verdicts = {c.id: c.finding.verdict.value for c in result.checks}
            row[name] = {
                "pairs": result.data.pairs, "passes": passes, "seconds": round(seconds),
                "verdicts": verdicts, "notes": result.notes[-1:],
            }  # fmt: skip
            print(explainer, name, json.dumps(row[name]), flush=True)
        rows.append(row)
        if chosen.out:
            chosen.out.write_text(json.dumps(rows, indent=1))
    looks = sum(row["looks"]["passes"] for row in rows) if "looks" in designs else 0
    for name in designs:
        if looks:
            ratio = sum(row[name]["passes"] for row in rows) / looks
            print(f"passes of the design {name} over those of the looks, in all: {ratio:.2f}")


if __name__ == "__main__":
    main()
