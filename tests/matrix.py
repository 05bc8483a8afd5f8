"""The verdict matrix: every check against every reference explainer, on the bundled model.

``python -m tests.matrix --write`` measures it again and writes ``tests/golden/matrix.json``. Read
the difference before you commit it: each changed cell is a changed promise.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.profiles import SIZES
from audit.engine.progress import silent
from audit.evidence.context import Context
from audit.evidence.kinds import Evidence
from audit.evidence.plan import plan
from audit.explainers.registry import load_explainer
from audit.judging.judge_all import judge_all
from audit.models.loading import load_model
from principles.catalogue import all_checks
from tests.gathered import gathered

GOLDEN = Path(__file__).parent / "golden" / "matrix.json"
SAMPLES = 48
PLAUSIBLE = "tests/reference_explainers/plausible.py"
EXPLAINERS = (
    "grad-eclip",
    "grad-eclip?weight=raw",
    "grad-eclip?weight=none",
    "grad-eclip?heads=model",
    "grad-eclip?heads=model&weight=none",
    "grad-eclip?input=own-size",
    "attention-eclip",
    "attention-eclip?heads=model&weight=none",
    "grad-attention",
    "attention-logit-gradient",
    "raw-attention",
    "gradient",
    "occlusion",
    "random",
    "center-prior",
    "edges",
    "inverted:grad-attention",
    f"{PLAUSIBLE}:named_color",
    f"{PLAUSIBLE}:away_from_what_matters",
    f"{PLAUSIBLE}:gradient_times_attention_of_the_first_heads",
)
SHARED = ("reference", "explanations", "effects", "faithfulness", "ladder", "rung_faithfulness")
COSTLY = {"occlusion": 12}  # a hundred passes a picture: its own, smaller audit

Matrix = dict[str, dict[str, str]]


def build(principle: int, device: str = "cpu") -> Matrix:
    """Verdicts by explainer and check of one principle; shared evidence is gathered once."""
    model = load_model(device=device)
    checks = [check for check in all_checks() if check.principle == principle]
    kinds = plan(frozenset().union(*(check.needs for check in checks)))
    contexts = {spec: _one(spec, model) for spec in EXPLAINERS}
    cheap = [context for spec, context in contexts.items() if spec not in COSTLY]
    everybody = {name: e for context in cheap for name, e in context.explainers.items()}
    together = dataclasses.replace(cheap[0], explainers=everybody)
    shared_kinds = [kind for kind in kinds if kind in SHARED]
    own_kinds = [kind for kind in kinds if kind not in SHARED]
    shared = gathered(together, *shared_kinds)
    matrix = {}
    for spec, context in contexts.items():
        start = dataclasses.replace(shared, roles=context.roles)
        if spec in COSTLY:
            start = gathered(context, *shared_kinds)
        matrix[spec] = _verdicts(checks, gathered(context, *own_kinds, given=start))
    return matrix


def _one(spec: str, model) -> Context:
    samples = COSTLY.get(spec, SAMPLES)
    settings = Settings(explainer=spec, samples=samples, profile="quick")
    context = build_context(settings, model, load_explainer(spec), silent)
    seeds = 1 if spec in COSTLY else 2
    sizes = dataclasses.replace(SIZES["quick"], ladder_seeds=seeds, traced=2)
    return dataclasses.replace(context, sizes=sizes)


def _verdicts(checks, evidence: Evidence) -> dict[str, str]:
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    assert not failures, failures[0].traceback
    return {result.id: result.finding.verdict.value for result in results}


def main() -> None:
    """Print the matrix; write it with ``--write``."""
    torch.set_num_threads(1)
    first, second = build(1), build(2)
    matrix = {spec: {**first[spec], **second[spec]} for spec in EXPLAINERS}
    for spec, row in matrix.items():
        print(f"{spec:<42}", *(f"{check}:{verdict}" for check, verdict in row.items()))
    if "--write" in sys.argv:
        GOLDEN.write_text(json.dumps(matrix, indent=1) + "\n")


if __name__ == "__main__":
    main()
