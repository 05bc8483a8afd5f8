"""Share of the processor time of principle 1's evidence that is spent inside the model.

    python tests/benchmarks/time_in_model.py [--explainer grad-eclip] [--model bundled] [--pairs N]

Inside the model is what passes between the outermost call of a module and its return, and the
backward passes. What explainers and probes compute by hand with the model's parameters (the last
block's attention) is not counted, so the share is a lower bound. Exits with 1 where the share over
the intervention sweep (reparametrization, randomization, effects, repeatability) is below 80 %. On
a large model use few pairs: `--model ViT-B-16 --pairs 1` takes some minutes of one core.
"""

import argparse
import dataclasses
import sys
import time
from contextlib import contextmanager

import torch

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.profiles import SIZES
from audit.engine.progress import silent
from audit.engine.worker_count import suited_threads
from audit.evidence.kinds import Evidence
from audit.evidence.plan import gather_kind, plan
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from principles.catalogue import all_checks

NEEDED = 0.8
SWEEP = ("reparametrization", "randomization", "effects", "repeatability")


class Inside:
    """Processor time between the outermost entries of what it wraps and their exits."""

    def __init__(self):
        self.seconds = 0.0
        self.depth = 0

    def wrapped(self, call):
        def timed(*args, **kwargs):
            if self.depth:
                return call(*args, **kwargs)
            self.depth += 1
            start = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.depth -= 1
                self.seconds += time.process_time() - start

        return timed


@contextmanager
def watched():
    """Time every module call and every backward pass."""
    inside = Inside()
    call, run = torch.nn.Module.__call__, torch.autograd._engine_run_backward  # noqa: SLF001 - torch's own
    torch.nn.Module.__call__ = inside.wrapped(call)
    torch.autograd._engine_run_backward = inside.wrapped(run)  # noqa: SLF001 - torch's own
    try:
        yield inside
    finally:
        torch.nn.Module.__call__, torch.autograd._engine_run_backward = call, run  # noqa: SLF001 - torch's own


def context_of(explainer, model_name, pairs):
    settings = Settings(explainer=explainer, model=model_name, samples=pairs or 192)
    model = load_model(model_name)
    context = build_context(settings, model, load_explainer(explainer), silent)
    if pairs is None:
        return context
    few = {n: min(pairs, getattr(context.sizes, n)) for n in ("traced", "affected", "repeated")}
    few |= {"reparametrized": pairs, "randomized": pairs, "randomizations": 1}
    return dataclasses.replace(context, sizes=dataclasses.replace(SIZES["default"], **few))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--explainer", default="grad-eclip")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--pairs", type=int)
    given = parser.parse_args()
    context = context_of(given.explainer, given.model, given.pairs)
    needs = frozenset().union(*(c.needs for c in all_checks() if c.principle == 1))
    evidence = Evidence(roles=context.roles)
    spent, model_time = {}, {}
    with watched() as inside, suited_threads(context.model):
        for kind in plan(needs):
            inside.seconds, start = 0.0, time.process_time()
            found = gather_kind(kind, context, evidence)
            spent[kind], model_time[kind] = time.process_time() - start, inside.seconds
            evidence = dataclasses.replace(evidence, **{kind: found})
            share = model_time[kind] / spent[kind]
            print(f"{kind:20} {spent[kind]:7.1f} s of processor, {share:6.1%} in the model")
    every, sweep = sum(spent.values()), sum(spent[k] for k in SWEEP)
    share = sum(model_time[k] for k in SWEEP) / sweep
    print(f"{'all':20} {every:7.1f} s of processor, {sum(model_time.values()) / every:6.1%}")
    print(f"{'intervention sweep':20} {sweep:7.1f} s of processor, {share:6.1%} (needed: 80 %)")
    return 0 if share >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
