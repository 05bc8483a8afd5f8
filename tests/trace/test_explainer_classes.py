"""A class is watched while it is built as well as while it is called."""

import copy

import pytest
import torch

from audit.explainers.explainer_class import ExplainerClass
from audit.result.finding import Verdict
from tests import panel
from tests.reference_explainers import parts
from tests.reference_explainers.member import Member


class Honest:
    """The gradient of the cosine, with a text feature that is kept from call to call."""

    def __init__(self, model):
        self.model, self.texts = model, {}

    def __call__(self, images, targets):
        key = tuple(targets.flatten().tolist())
        text = self.texts.setdefault(key, parts.text_unit(self.model, targets))
        return parts.gradient_map(
            self.model,
            images,
            lambda x: torch.nn.functional.normalize(self.model.encode_image(x), dim=-1) * text,
        )


class AltersWhenBuilt(Honest):
    def __init__(self, model):
        super().__init__(model)
        with torch.no_grad():
            model.visual.proj.mul_(1.5)


class HookedWhenBuilt(Honest):
    def __init__(self, model):
        super().__init__(model)
        model.visual.ln_post.register_forward_hook(lambda _module, _given, out: out.tanh())


class OneHeadOnACopy(Honest):
    def __init__(self, model):
        super().__init__(copy.deepcopy(model))
        attention = self.model.visual.transformer.resblocks[-1].attn
        attention.num_heads, attention.head_dim = 1, attention.embed_dim


@pytest.mark.parametrize(
    ("kind", "violated"),
    [
        (Honest, set()),
        (AltersWhenBuilt, {"P101"}),
        (HookedWhenBuilt, {"P102"}),
        (OneHeadOnACopy, {"P104", "P105"}),
    ],
)
def test_what_a_class_does_when_it_is_built_is_judged(kind, violated, small_stage):
    explain = ExplainerClass(kind)
    explain.__name__ = kind.__name__
    findings = panel.judged_by_traces(Member(explain), small_stage)
    assert panel.of_verdict(findings, Verdict.VIOLATION) >= violated, findings
    if not violated:
        assert panel.outcome(Member(explain), findings) == "right", findings
