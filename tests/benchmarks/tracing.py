"""What the trace costs: one explanation bare, watched by the instrument alone, and traced.

``python -m tests.benchmarks.tracing [EXPLAINER …] [--model SPEC] [--pretrained TAG]`` prints the
seconds and their ratio to the bare explanation, medians of three of the processor's time, side by
side on one pair. The null control is measured once for all pairs of an audit, and not counted. The
last column is the untouched model's own passes with every state recorded; a trace records those
next to what the explainer computes.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence.context import Context
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from audit.models.transformer_block import TowerName
from audit.trace.integrity import Integrity
from audit.trace.recorder import Recorder
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair, trace_pair, watched

USUAL = ("gradient", "grad-eclip", "grad-attention", "occlusion")
RUNS = 3


def seconds(work: Callable[[], object]) -> float:
    """Median time of a few runs, after one that is not counted."""
    work()
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def row(explainer: Explainer, context: Context) -> tuple[float, float, float, float]:
    """Seconds of an explanation bare, watched and traced, and of recording the untouched model."""
    images, targets = context.pairs.batch(torch.tensor([0]), context.model.device, torch.float32)
    pair = TracedPair("pair", images, targets, {"cosine": 0.0})
    model = copy.deepcopy(context.pristine).requires_grad_()
    structure = context.watched().structure
    given: dict[TowerName, Tensor] = {"image": images}
    if structure.text is not None:
        given["text"] = targets
    rounding = Rounding(given)

    def bare() -> torch.Tensor:
        return explainer.explain(model, images, targets)

    @torch.no_grad()
    def recorded() -> None:
        integrity = Integrity(model, structure.model)
        recorder = Recorder(model, structure, integrity, images, targets, rounding)
        recorder.passes.find(images, tuple(given))

    return (
        seconds(bare),
        seconds(lambda: watched(bare, images.device)),
        seconds(lambda: trace_pair(explainer, model, structure, pair, rounding)),
        seconds(recorded),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("explainers", nargs="*", default=USUAL)
    parser.add_argument("--model", default="bundled", help="as for audit check")
    parser.add_argument("--pretrained", help="as for audit check")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model, options.pretrained)
    print(f"{'explainer':26}   bare s   watched    traced   all states")
    for name in options.explainers:
        explainer = load_explainer(name)
        settings = Settings(explainer=name, samples=4, profile="quick")
        context = build_context(settings, model, explainer, silent)
        bare, *others = row(explainer, context)
        print(f"{name:26} {bare:8.3f}", *(f"{one / bare:8.2f}x" for one in others), flush=True)


if __name__ == "__main__":
    main()
