"""Detection and false alarms of the checks of principle 1 over a panel of explainers.

Run ``python -m tests.panel`` from the repository's root. Exits 1 unless every planted fault is
caught and no honest explainer is accused.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from open_clip.model import CLIP, CustomTextCLIP
from torchvision.transforms import Compose

from audit.data.pairs import Pairs
from audit.evidence.context import Context, Sizes
from audit.evidence.kinds import Evidence, Reference, Roles, TraceEvidence
from audit.evidence.repeatability import gather_repeatability
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.judging import judge_all
from audit.models.anatomy import anatomy_of
from audit.models.loading import ModelUnderAudit
from audit.progress import silent
from audit.result import Verdict
from audit.trace.integrity import pristine_copy
from audit.trace.tracing import TracedPair, trace_pair
from principles.catalogue import all_checks
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.member import Member

CONTEXT, END = 16, 99
CHECKS = ("P101", "P102", "P103", "P104", "P105")
SIZES = {"small": (32, 8, 3), "medium": (64, 8, 4)}


@dataclass(frozen=True)
class Stage:
    """A model, its untouched copy, and two pairs to explain: one score may be equal by chance."""

    model: torch.nn.Module
    pristine: torch.nn.Module
    pairs: tuple[TracedPair, ...]
    tolerance: float

    @property
    def pair(self) -> TracedPair:
        """The first pair."""
        return self.pairs[0]


def stage(seed: int = 0, size: str = "small", kind: type | None = None) -> Stage:
    """A random CLIP and a pair; every other seed has a text tower of its own."""
    width, head_width, layers = SIZES[size]
    kind = kind or (CLIP, CustomTextCLIP)[seed % 2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vision = {
            "image_size": 32,
            "patch_size": 8,
            "width": width,
            "head_width": head_width,
            "layers": layers,
            "pool_type": "tok",
        }
        text = {
            "context_length": CONTEXT,
            "vocab_size": END + 1,
            "width": width,
            "heads": width // head_width,
            "layers": layers - 1,
        }
        model = kind(16, vision, text).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        images = torch.randn(2, 3, 32, 32)
        tokens = torch.randint(1, END - 1, (2, CONTEXT))
        tokens[:, 9 + seed % 3], tokens[:, 10 + seed % 3 :] = END, 0
    pristine = pristine_copy(model)
    both = zip(images.split(1), tokens.split(1), strict=True)
    pairs = tuple(_pair(pristine, image, text, f"pair-{i}") for i, (image, text) in enumerate(both))
    return Stage(model, pristine, pairs, 64 * torch.finfo().eps)


@torch.no_grad()
def _pair(
    pristine: torch.nn.Module, images: torch.Tensor, tokens: torch.Tensor, name: str = "pair-0"
) -> TracedPair:
    cosine = float(anatomy_of(pristine).scores(images, tokens))
    scale = float(pristine.logit_scale.exp())
    return TracedPair(name, images, tokens, {"cosine": cosine, "logit": scale * cosine})


def violated(member: Member, on: Stage) -> dict[str, str]:
    """Checks that a member violates on a stage, and what they say."""
    explainer = Explainer(member.name, member.explain)
    traces = tuple(
        trace_pair(explainer, copy.deepcopy(on.model), on.pristine, pair)[0] for pair in on.pairs
    )
    evidence = Evidence(
        roles=Roles(member.name, (), (), None, True, False, False),
        reference=_reference(on),
        trace=TraceEvidence(traces, (), on.tolerance, 0.0, "float32", {}),
    )
    checks = [check for check in all_checks() if check.id in CHECKS]
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    broken = [f"{f.where}: {f.message}" for f in failures]
    if broken:
        raise RuntimeError("; ".join(broken))
    return {r.id: r.finding.summary for r in results if r.finding.verdict is Verdict.VIOLATION}


def depends_on_company(member: Member, on: Stage) -> dict[str, str]:
    """What P109 says of a member, empty where it passes.

    A fault that another check must catch may change maps from run to run as well: not judged here.
    """
    if member.caught_by and "P109" not in member.caught_by:
        return {}
    context = _context(member, on)
    evidence = Evidence(
        roles=context.roles,
        reference=_reference(on, 6),
        repeatability=gather_repeatability(context),
    )
    (check,) = (c for c in all_checks() if c.id == "P109")
    (result,), failures = judge_all([check], evidence, [], severity={}, thresholds={})
    if failures:
        raise RuntimeError(failures[0].message)
    violated = result.finding.verdict is Verdict.VIOLATION
    return {"P109": result.finding.summary} if violated else {}


def _context(member: Member, on: Stage) -> Context:
    generator = torch.Generator().manual_seed(9)
    tokens = torch.randint(1, END - 1, (6, CONTEXT), generator=generator)
    tokens[:, 11], tokens[:, 12:] = END, 0
    pairs = Pairs(
        name="panel", ids=tuple(f"pair-{i}" for i in range(6)),
        images=torch.randn(6, 3, 32, 32, generator=generator), picture=torch.arange(6),
        labels=torch.arange(6), present=torch.eye(6, dtype=torch.bool), masks=None,
        classes=tuple("abcdef"), templates=("{}",), tokens=tokens,
    )  # fmt: skip
    model = ModelUnderAudit(
        "panel", None, copy.deepcopy(on.model), Compose([]), lambda texts: texts,
        torch.device("cpu"), torch.float32,
    )  # fmt: skip
    audited, control = Explainer(member.name, member.explain), "attention-logit-gradient"
    explainers = {member.name: audited, control: load_explainer(control)}
    roles = Roles(member.name, (control,), (), None, True, False, False)
    sizes = Sizes(repeated=3)
    return Context(model, on.pristine, pairs, explainers, roles, sizes, 0, silent)


def _reference(on: Stage, pairs: int = 2) -> Reference:
    anatomy = anatomy_of(on.pristine)
    none = np.zeros((pairs, pairs))
    ids = tuple(f"pair-{i}" for i in range(pairs))
    return Reference(
        ids,
        ids,
        ids,
        none[0],
        none[0],
        none,
        none,
        1.0,
        None,
        len(anatomy.image.blocks),
        len(anatomy.text.blocks),
        anatomy.image.heads,
    )


def main() -> int:
    """Run the panel and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", default="", help="part of a member's name")
    parser.add_argument("--quiet", action="store_true", help="show only what is wrong")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stages = [stage(s, size) for size in options.sizes.split(",") for s in range(options.seeds)]
    members = [m for m in (*HONEST, *FAULTY) if options.only in m.name]
    wrong = 0
    right = {True: 0, False: 0}
    started = time.perf_counter()
    for member in members:
        agreed, said, last = 0, Counter(), {}
        began = time.perf_counter()
        for on in stages:
            try:
                found = violated(member, on) | depends_on_company(member, on)
            except Exception as error:  # noqa: BLE001 - shown as the member's result
                found = {"ERROR": f"{type(error).__name__}: {error}"}
            agreed += member.agrees(frozenset(found))
            said.update(found.keys())
            last = found or last
        wrong += agreed < len(stages)
        right[not member.caught_by] += agreed
        mark = "ok " if agreed == len(stages) else "BAD"
        expected = " ".join(sorted(member.caught_by)) or "honest"
        found_words = " ".join(f"{k}:{v}" for k, v in sorted(said.items())) or "-"
        seconds = (time.perf_counter() - began) / len(stages)
        if mark == "BAD" or not options.quiet:
            print(f"{mark} {member.name:55} {expected:12} {found_words:28} {seconds:.2f} s")
        if mark == "BAD" or options.verbose:
            for check, summary in sorted(last.items()):
                print(f"      {check} {summary[:240]}")
    _totals(members, len(stages), right, time.perf_counter() - started)
    return int(wrong > 0)


def _totals(members: list[Member], stages: int, right: dict[bool, int], seconds: float) -> None:
    honest = sum(not m.caught_by for m in members) * stages
    faulty = len(members) * stages - honest
    alarms = honest - right[True]
    print(
        f"\n{faulty // stages} faulty and {honest // stages} honest explainers on {stages} models "
        f"in {seconds:.0f} s: detected {right[False]}/{faulty}"
        f" ({100 * right[False] / max(faulty, 1):.1f} %), false alarms {alarms}/{honest}"
        f" ({100 * alarms / max(honest, 1):.1f} %)"
    )


if __name__ == "__main__":
    sys.exit(main())
