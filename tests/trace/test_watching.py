"""Watching changes nothing of what is watched."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional
from torch.overrides import handle_torch_function, has_torch_function

from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.trace.tracing import trace_pair
from tests import panel
from tests.reference_explainers.member import Member

SPECS = [
    "grad-eclip", "grad-attention", "attention-logit-gradient", "raw-attention", "gradient",
    "grad-cam", "occlusion", "edges", "rollout", "legrad", "m2ib?steps=2&copies=1", "libra-grad",
    "grad-eclip?input=own-size", "attention-eclip?heads=model&weight=raw",
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_maps_are_the_same_to_the_bit(spec, each_stage):
    explainer, pair, kept = load_explainer(spec), each_stage.pair, []

    def keep(*args):
        kept.append(explainer.explain(*args))
        return kept[-1]

    bare = run_explainer(explainer, copy.deepcopy(each_stage.model), pair.image, pair.targets)
    watched = dataclasses.replace(explainer, explain=keep)
    trace_pair(watched, copy.deepcopy(each_stage.model), each_stage.structure, pair)
    found = getattr(kept[0], "maps", kept[0])
    assert torch.equal(found, bare.maps.to(found.dtype))


def vendored_attention(query, weight, bias, heads, *, branches):
    """Attention as research code carries it along: torch's own function, copied and changed."""
    operands = (query, weight, bias)
    if branches and has_torch_function(operands):
        return handle_torch_function(
            vendored_attention, operands, query, weight, bias, heads, branches=branches
        )
    q, k, v = functional.linear(query, weight, bias).chunk(3, dim=-1)
    q, k, v = (z.unflatten(-1, (heads, -1)).transpose(1, 2) for z in (q, k, v))
    attention = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
    return attention, (attention @ v).transpose(1, 2).flatten(2)


def of_vendored_attention(heads=None, *, branches):
    """Gradient of the score by the attention of the last block, run by vendored code."""

    def explain(model, images, targets):
        tower, last = model.visual, model.visual.transformer.resblocks[-1]
        x = tower._embeds(images)  # noqa: SLF001 - as research code does
        for block in tower.transformer.resblocks[:-1]:
            x = block(x)
        own = last.attn
        attention, mixed = vendored_attention(
            last.ln_1(x),
            own.in_proj_weight,
            own.in_proj_bias,
            heads or own.num_heads,
            branches=branches,
        )
        x = x + own.out_proj(mixed)
        x = x + last.mlp(last.ln_2(x))
        feature = functional.normalize(tower.ln_post(x[:, 0]) @ tower.proj, dim=-1)
        score = (feature * model.encode_text(targets, normalize=True)).sum()
        (slope,) = torch.autograd.grad(score, attention)
        side = int((slope.shape[-1] - 1) ** 0.5)
        return slope.mean(1)[:, 0, 1:].reshape(len(images), side, side)

    return explain


@pytest.mark.parametrize(("heads", "violated"), [(None, set()), (1, {"P104", "P105"})])
def test_vendored_attention_takes_its_usual_branch(heads, violated, small_stage):
    found = [
        panel.judged_by_traces(Member(of_vendored_attention(heads, branches=branches)), small_stage)
        for branches in (True, False)
    ]
    verdicts = [{check: f.verdict for check, f in one.items()} for one in found]
    assert verdicts[0] == verdicts[1]
    assert {check for check, v in verdicts[0].items() if v.name == "VIOLATION"} == violated
