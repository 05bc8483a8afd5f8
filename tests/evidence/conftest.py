import dataclasses

import open_clip
import pytest
import torch
from torchvision.transforms import Compose

from audit.data.pairs import Pairs
from audit.engine.gathering_limits import gathering_limits
from audit.evidence.context import Context, Sizes
from audit.evidence.kinds import Evidence, Roles
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.open_clip_source import OpenClipInterface
from audit.models.pristine import pristine_copy

VISION = {"layers": 2, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}
TEXT = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 4, "layers": 2}
SIZES = Sizes(reparametrized=5, randomized=5, randomizations=2, affected=6, repeated=4)
POSITIVE = "attention-logit-gradient"
NEGATIVE = ("random", "center-prior", "edges")


@pytest.fixture(scope="session")
def tiny_model(device):
    """A tiny CLIP whose biases and norms are as far from trivial as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = open_clip.CLIP(16, VISION, TEXT).eval()
        for name, parameter in module.named_parameters():
            if parameter.ndim == 1:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
            elif "token_embedding" in name or "positional" in name:
                parameter.data.mul_(20)
    place = torch.device(device)
    interface = OpenClipInterface(Compose([]), lambda texts: None)
    return ModelUnderAudit("tiny", None, module.to(place), interface, place, torch.float32)


@pytest.fixture(scope="session")
def pairs():
    """Six pictures with two texts each."""
    generator = torch.Generator().manual_seed(11)
    tokens = torch.randint(1, 40, (4, 8), generator=generator)
    tokens[:, 6], tokens[:, 7] = 49, 0
    picture = torch.arange(12) // 2
    labels = torch.arange(12) % 4
    present = torch.zeros(6, 4, dtype=torch.bool)
    present[picture, labels] = True
    return Pairs(
        name="tiny",
        ids=tuple(f"pair-{i}" for i in range(12)),
        images=torch.randn(6, 3, 32, 32, generator=generator),
        picture=picture,
        labels=labels,
        present=present,
        masks=None,
        classes=("a", "b", "c", "d"),
        templates=("{}",),
        targets=tokens,
    )


@pytest.fixture
def context_for(tiny_model, pairs):
    """A context whose audited explainer is a function, or a registered name."""

    def build(explain, *, model=tiny_model, sizes=SIZES, data=pairs, **declared):
        audited = (
            load_explainer(explain)
            if isinstance(explain, str)
            else Explainer("planted", explain, **declared)
        )
        names = (POSITIVE, *NEGATIVE)
        explainers = {audited.name: audited} | {n: load_explainer(n) for n in names}
        roles = Roles(
            audited=audited.name,
            positive=tuple(n for n in (POSITIVE,) if n != audited.name),
            negative=NEGATIVE,
            twin=None,
            text_specific=True,
            model_free=audited.model_free,
            stochastic=audited.stochastic,
        )
        own = dataclasses.replace(model, module=pristine_copy(model.module).requires_grad_())
        pristine = pristine_copy(model.module)
        limits = gathering_limits({})
        return Context(
            own, pristine, data, explainers, roles, sizes, 0, lambda *_: None, limits=limits
        )

    return build


@pytest.fixture
def no_evidence():
    return lambda context: Evidence(roles=context.roles)


@pytest.fixture
def same_state():
    def compare(one, other):
        a, b = one.state_dict(), other.state_dict()
        return all(torch.equal(a[name], b[name]) for name in b)

    return compare
