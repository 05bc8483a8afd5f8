"""Models of the panel: small random CLIPs, each with pairs and what gatherers need."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from open_clip.model import CLIP, CustomTextCLIP
from torchvision.transforms import Compose

from audit.data.pairs import Pairs
from audit.engine.gathering_limits import gathering_limits
from audit.engine.progress import silent
from audit.evidence.context import Context, Sizes
from audit.evidence.kinds import Reference, Roles
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.models.anatomy import anatomy_of
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.open_clip_source import OpenClipInterface
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure, structure_of
from audit.trace.tracing import TracedPair

CONTEXT, END = 16, 99
INTERFACE = OpenClipInterface(Compose([]), lambda texts: texts)
SIZES = {"small": (32, 8, 3), "medium": (64, 8, 4)}


@dataclass(frozen=True)
class Stage:
    """A model, its untouched copy, and two pairs to explain: one score may be equal by chance."""

    model: torch.nn.Module
    pristine: torch.nn.Module
    pairs: tuple[TracedPair, ...]
    tolerance: float

    @property
    def structure(self) -> Structure:
        """What a trace knows of the untouched copy."""
        return structure_of(INTERFACE, self.pristine, self.pair.image, self.pair.targets)

    @property
    def pair(self) -> TracedPair:
        """The first pair."""
        return self.pairs[0]


def stage(
    seed: int = 0, size: str = "small", kind: type | None = None, device: str = "cpu"
) -> Stage:
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
    model, images, tokens = model.to(device), images.to(device), tokens.to(device)
    pristine = pristine_copy(model)
    both = zip(images.split(1), tokens.split(1), strict=True)
    pairs = tuple(
        traced(pristine, image, text, f"pair-{i}") for i, (image, text) in enumerate(both)
    )
    return Stage(model, pristine, pairs, 64 * torch.finfo().eps)


@torch.no_grad()
def traced(
    pristine: torch.nn.Module, images: torch.Tensor, tokens: torch.Tensor, name: str = "pair-0"
) -> TracedPair:
    """A pair with the model's scores of it."""
    cosine = float(anatomy_of(pristine).scores(images, tokens))
    scale = float(pristine.logit_scale.exp())
    return TracedPair(name, images, tokens, {"cosine": cosine, "logit": scale * cosine})


def context_of(explainer: Explainer, on: Stage, sizes: Sizes) -> Context:
    """What a gatherer works with on a stage: six pairs, the explainer, and a faithful control."""
    generator = torch.Generator().manual_seed(9)
    tokens = torch.randint(1, END - 1, (6, CONTEXT), generator=generator)
    tokens[:, 11], tokens[:, 12:] = END, 0
    pairs = Pairs(
        name="panel", ids=tuple(f"pair-{i}" for i in range(6)),
        images=torch.randn(6, 3, 32, 32, generator=generator), picture=torch.arange(6),
        labels=torch.arange(6), present=torch.eye(6, dtype=torch.bool), masks=None,
        classes=tuple("abcdef"), templates=("{}",), targets=tokens,
    )  # fmt: skip
    model = ModelUnderAudit(
        "panel", None, copy.deepcopy(on.model), INTERFACE,
        on.pair.image.device, torch.float32,
    )  # fmt: skip
    control = "attention-logit-gradient"
    explainers = {control: load_explainer(control), explainer.name: explainer}
    roles = Roles(explainer.name, (control,), (), None, True, False, False)
    limits = gathering_limits({})
    return Context(model, on.pristine, pairs, explainers, roles, sizes, 0, silent, limits=limits)


def reference_of(on: Stage, pairs: int = 6) -> Reference:
    """Names of pairs and sizes of the model; no score is needed."""
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
        None,
        len(anatomy.image.blocks),
        len(anatomy.text.blocks),
        anatomy.image.grid,
    )
