"""The verdict matrix: every check against every reference explainer, on the bundled model.

``python -m tests.matrix`` measures it and fails where it is not as recorded in
``tests/golden/matrix.json``; with ``--write`` it records it anew, and with ``--principle P2`` or
``--explainer NAME`` a part of it. Read the difference before you commit it: each changed cell is a
changed promise. The suite measures what traces decide of every explainer of `EXPLAINERS` and of a
few of `FIELD`, the rest of principle 1 on those of `SAMPLED`, and principle 2 on those of
`SAMPLED_RANKED` (`tests/test_matrix.py`). Of the methods of `LONG`, of about a hundred passes a map
and more, only what traces decide is recorded, and of `UNRANKED` only principle 1: their other cells
have not been measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from audit.config.settings import Settings
from audit.data.bundled_scenes import bundled_pairs
from audit.engine.context_building import build_context
from audit.engine.profiles import SIZES
from audit.engine.progress import silent
from audit.evidence.context import Context, ManyPairs
from audit.evidence.kinds import Evidence
from audit.evidence.plan import plan
from audit.explainers.registry import load_explainer
from audit.judging.judge_all import judge_all
from audit.models.loading import load_model
from principles.catalogue import all_checks
from tests.gathered import gathered
from tests.remedies import without_remedy

GOLDEN = Path(__file__).parent / "golden" / "matrix.json"
SAMPLES, RANKED = 48, 96  # pairs, for principle 1 and for principle 2
MANY, CHOSEN, CLASSES = 1920, 672, 144  # as in a default audit
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
    "grad-cam",
    "occlusion",
    "random",
    "center-prior",
    "edges",
    "inverted:grad-attention",
    f"{PLAUSIBLE}:named_color",
    f"{PLAUSIBLE}:away_from_what_matters",
    f"{PLAUSIBLE}:gradient_times_attention_of_the_first_heads",
)
FIELD = (
    "input-x-gradient",
    "integrated-gradients?steps=8",
    "smooth-grad?samples=8",
    "grad-cam-plus-plus",
    "score-cam",
    "rise?masks=64",
    "rollout",
    "grad-sam",
    "attcat",
    "game",
    "legrad",
    "legrad?score=model",
    "tam?steps=4",
    "maskclip",
    "maskclip?attention=model",
    "clip-surgery",
    "m2ib?copies=2",
    "libra-grad",
    "attn-lrp",
    "m2ib?copies=2&text=released",
    "transformer-attribution",
    "skip-plus",
    "vit-cx",
    "tis?masks=32",
    "meaningful-perturbation?steps=8&cells=8",
    "extremal-perturbation?steps=20&area=0.1",
    "atman",
    "caap",
    "text-gradient",
    "text-integrated-gradients?steps=8",
    "text-grad-attention",
    "text-grad-eclip",
    "text-grad-eclip?heads=model",
    "text-game",
    "token-removal",
    "grad-cam?heads=released",
    "raw-attention?heads=released",
    "raw-attention?heads=released&input=own-size",
    "maskclip?keys=true",
    "game?start=-1",
    "rollout?start=-1",
)
LONG = (
    "score-cam",
    "vit-cx",
    "meaningful-perturbation?steps=8&cells=8",
    "extremal-perturbation?steps=20&area=0.1",
    "atman",
    "caap",
)
UNRANKED = (
    "integrated-gradients?steps=8",
    "smooth-grad?samples=8",
    "rise?masks=64",
    "tam?steps=4",
    "tis?masks=32",
    "input-x-gradient",
    "grad-cam-plus-plus",
    "m2ib?copies=2",
    "m2ib?copies=2&text=released",
    "transformer-attribution",
    "skip-plus",
    "grad-cam?heads=released",
    "raw-attention?heads=released",
    "raw-attention?heads=released&input=own-size",
    "maskclip?keys=true",
    "game?start=-1",
    "rollout?start=-1",
)
TRACED = ("P101", "P102", "P103", "P104", "P105", "P110")
SHARED = (
    "reference", "explanations", "performance", "chosen_pairs", "class_pairs", "effects",
    "faithfulness", "ladder", "rung_faithfulness",
)  # fmt: skip
SAMPLED = ("grad-eclip", "grad-attention", "raw-attention", "gradient", "edges")
SAMPLED_RANKED = ("grad-eclip", "grad-attention", "edges")
SAMPLED_FIELD = ("game", "legrad", "libra-grad")
COSTLY = {"occlusion": 12}  # a hundred passes a picture: its own, smaller audit

Matrix = dict[str, dict[str, str]]


def build(
    prefixes: tuple[str, ...], device: str = "cpu", explainers: Sequence[str] = EXPLAINERS
) -> Matrix:
    """Verdicts by explainer and check; shared evidence is gathered once.

    Args:
        prefixes: of the ids of the checks, such as P2.
        device: of the model.
        explainers: some of `EXPLAINERS` or `FIELD`.
    """
    model = load_model(device=device)
    checks = [check for check in all_checks() if check.id.startswith(prefixes)]
    kinds = plan(frozenset().union(*(check.needs for check in checks)))
    many = ManyPairs(MANY, functools.cache(functools.partial(bundled_pairs, model, MANY)))
    samples = SAMPLES if prefixes[0].startswith("P1") else RANKED
    contexts = {spec: _one(spec, model, many, samples) for spec in explainers}
    cheap = [context for spec, context in contexts.items() if spec not in COSTLY]
    everybody = {name: e for context in cheap for name, e in context.explainers.items()}
    roles = dataclasses.replace(cheap[0].roles, twin=None)  # each is somebody's own
    together = dataclasses.replace(cheap[0], explainers=everybody, roles=roles)
    shared_kinds = [kind for kind in kinds if kind in SHARED]
    shared = gathered(together, *shared_kinds)
    matrix = {}
    for spec, context in contexts.items():
        start = dataclasses.replace(shared, roles=context.roles)
        if context.roles.explains_text:
            start = dataclasses.replace(start, effects=None)  # of tokens, not of patches
        if spec in COSTLY:
            start = gathered(context, *shared_kinds)
        matrix[spec] = _verdicts(checks, gathered(context, *kinds, given=start))
    return matrix


def _one(spec: str, model, many: ManyPairs, samples: int) -> Context:
    samples = COSTLY.get(spec, samples)
    settings = Settings(explainer=spec, samples=samples, profile="quick")
    context = build_context(settings, model, load_explainer(spec), silent)
    seeds = 1 if spec in COSTLY else 2
    sizes = dataclasses.replace(
        SIZES["quick"],
        ladder_seeds=seeds,
        traced=2,
        chosen_per_pair=CHOSEN / RANKED,
        classes_per_pair=CLASSES / RANKED,
    )
    return dataclasses.replace(context, sizes=sizes, many=many)


def _verdicts(checks, evidence: Evidence) -> dict[str, str]:
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    assert not failures, failures[0].traceback
    unmended = [r.id for r in results if without_remedy(r.finding)]
    assert not unmended, f"expected a remedy in every violation and error, found none: {unmended}"
    return {result.id: result.finding.verdict.value for result in results}


def measured(prefixes: Sequence[str], explainers: Sequence[str]) -> Matrix:
    """Verdicts of the checks of either principle by these explainers, as they are recorded."""
    asked = [spec for spec in (*EXPLAINERS, *FIELD) if spec in explainers]
    short = [spec for spec in asked if spec not in LONG]
    groups = {
        ("P1",): short if "P1" in prefixes else [],
        TRACED: [spec for spec in asked if spec in LONG] if "P1" in prefixes else [],
        ("P2",): [s for s in short if s not in UNRANKED] if "P2" in prefixes else [],
    }
    matrix: Matrix = {spec: {} for spec in asked}
    for checks, specs in groups.items():
        for spec, row in build(checks, explainers=specs).items() if specs else ():
            matrix[spec] |= row
    return matrix


def main() -> int:
    """Print the matrix, and compare it with the recorded one; record it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record what is measured")
    parser.add_argument("--principle", choices=("P1", "P2"), action="append")
    parser.add_argument("--explainer", choices=(*EXPLAINERS, *FIELD), action="append")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    matrix = measured(chosen.principle or ("P1", "P2"), chosen.explainer or (*EXPLAINERS, *FIELD))
    for spec, row in matrix.items():
        print(f"{spec:<42}", *(f"{check}:{verdict}" for check, verdict in row.items()))
    recorded = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    cells = [(spec, check) for spec, row in matrix.items() for check in row]
    before = {(s, c): recorded.get(s, {}).get(c) for s, c in cells}
    others = [(s, c) for s, c in cells if before[s, c] != matrix[s][c]]
    if chosen.write:
        for spec, row in matrix.items():
            recorded[spec] = dict(sorted({**recorded.get(spec, {}), **row}.items()))
        GOLDEN.write_text(json.dumps(recorded, indent=1) + "\n")
    for spec, check in others:
        print(f"{spec} {check}: {before[spec, check]} → {matrix[spec][check]}")
    print(f"{len(cells) - len(others)} of {len(cells)} cells as recorded")
    return int(bool(others))


if __name__ == "__main__":
    sys.exit(main())
