"""Edits of attention and MLP, and attention knock-out, on every class of blocks of the table."""

import pytest
import torch

from audit.interventions.copies import copy_with
from audit.interventions.draws import generator_for
from audit.interventions.function_preserving import BLOCK_EDITS, EditNotApplicableError
from audit.interventions.function_preserving.matrices import paired, stretches
from audit.interventions.probing.knockout import run_visible
from audit.models.rotary import Rotary
from tests.block_models import MODELS, built, error, views_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

NAMES = [name for name in MODELS if not name.endswith("eager")] + ["transformers BLIP, eager"]
QK_NORM, INNER, ROTARY = {"key-bias"}, {"value-bias", "value-output-mixing"}, {"key-bias"}
INNER |= {"head-permutation"}
GATED = {"neuron-permutation"}
NOT_APPLICABLE = {
    "open_clip custom": QK_NORM | INNER | GATED,
    "timm q and k norms": QK_NORM | INNER,
    "timm EVA 02": ROTARY | GATED,
    "timm EVA fused": ROTARY,
    "timm EVA inner norm": QK_NORM | INNER | GATED,
    "timm DINOv3": ROTARY | {"value-bias"},
    "timm PE-Core": ROTARY,
    "timm ViT of mixed rotations": ROTARY | {"head-permutation"},
    "transformers DINOv2 SwiGLU, sdpa": GATED | {"mlp-norm-folding"},
    "transformers DINOv3, sdpa": ROTARY,
    "transformers DINOv3 gated, sdpa": ROTARY | GATED | {"mlp-norm-folding"},
}


def outputs(model, inputs):
    with torch.no_grad():
        return [out for _, _, out in views_of(model, inputs)]


def in_double(name):
    model, inputs = built(name)
    return model.double(), inputs.double() if inputs.is_floating_point() else inputs


def edited(model, inputs, edit):
    """A copy of a model with an edit of all its blocks."""
    new = {}
    for block, _, _ in views_of(model, inputs):
        new |= BLOCK_EDITS[edit](block, generator_for("edit", edit, block.index))
    old = dict(model.named_parameters())
    changed = {n for n, value in new.items() if error(old[n].detach(), value) > 1e-3}
    return copy_with(model, new), changed


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_keeps_the_function_or_says_why_it_cannot(name):
    model, inputs = in_double(name)
    before, refused = outputs(model, inputs), set()
    for edit in BLOCK_EDITS:
        try:
            copy, changed = edited(model, inputs, edit)
        except EditNotApplicableError:
            refused.add(edit)
        else:
            assert changed
            assert max(map(error, outputs(copy, inputs), before)) <= 1e-10, edit
    assert refused == NOT_APPLICABLE.get(name, set())


@pytest.mark.parametrize(
    ("name", "edit", "reason"),
    [
        ("timm DINOv3", "key-bias", "rotary positions turn the key bias of 'blocks.0'"),
        ("timm DINOv3", "value-bias", "expected a parameter 'blocks.0.attn.qkv.bias'"),
        ("timm q and k norms", "key-bias", "'blocks.0.attn.k_norm' normalizes after"),
        ("timm q and k norms", "value-output-mixing", "'blocks.0.attn.norm' normalizes after"),
        ("timm q and k norms", "head-permutation", "has gains and biases of its own"),
        ("timm ViT of mixed rotations", "head-permutation", "have positions of their own"),
        ("timm EVA 02", "neuron-permutation", "expected one activation between two linear"),
        ("transformers DINOv2 SwiGLU, sdpa", "mlp-norm-folding", "a linear layer with bias at"),
        ("transformers DINOv3 gated, sdpa", "mlp-norm-folding", "expected two linear layers"),
        ("open_clip custom", "neuron-permutation", "expected one activation between two linear"),
    ],
)
def test_an_edit_that_cannot_be_names_the_part(name, edit, reason):
    with pytest.raises(EditNotApplicableError, match=reason):
        edited(*in_double(name), edit)


@pytest.mark.parametrize("edit", ["query-key-rotation", "query-key-mixing"])
@pytest.mark.parametrize(
    "name", ["timm DINOv3", "timm q and k norms", "timm EVA inner norm", "transformers ViT, sdpa"]
)
def test_queries_and_keys_move_and_their_attention_stays(name, edit):
    model, inputs = in_double(name)
    copy, _ = edited(model, inputs, edit)
    seen = []
    for one in (model, copy):
        block, call, _ = views_of(one, inputs)[1]
        with torch.no_grad():
            q, k, v = block.qkv(block.normalize(call.x))
            seen.append((q, k, v, block.attention(q, k, call.mask)))
    moved = [error(after, before) for before, after in zip(*seen, strict=True)]
    assert min(moved[:2]) > 0.1
    assert max(moved[2:]) < 1e-10


@pytest.mark.parametrize("half", [True, False])
def test_a_paired_matrix_commutes_with_rotary_positions(half):
    angle = torch.rand(5, 4, generator=torch.Generator().manual_seed(0)).double()
    angle = angle.repeat(1, 2) if half else angle.repeat_interleave(2, 1)
    rotary = Rotary(angle.sin(), angle.cos(), half)
    z = torch.randn(1, 1, 7, 8, generator=torch.Generator().manual_seed(1)).double()
    matrix = paired(8, torch.Generator().manual_seed(2), half=half, spread=1.0)
    assert torch.allclose(rotary.turn(z @ matrix.T), rotary.turn(z) @ matrix.T, atol=1e-12)
    assert torch.linalg.cond(matrix) == pytest.approx(10)
    crossed = paired(8, torch.Generator().manual_seed(2), half=not half, spread=1.0)
    assert not torch.allclose(rotary.turn(z @ crossed.T), rotary.turn(z) @ crossed.T, atol=1e-2)


def test_stretches_reach_a_decade_and_take_both_signs():
    numbers = stretches(6, torch.Generator().manual_seed(0), 1.0)
    assert float(numbers.abs().max() / numbers.abs().min()) == pytest.approx(10)
    assert int((numbers < 0).sum()) == 3
    assert stretches(6, torch.Generator().manual_seed(0), 0.0).abs().tolist() == [1.0] * 6


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in MODELS if "text" not in name.lower()])
def test_a_block_that_sees_everything_is_the_block(name):
    for block, call, out in views_of(*built(name)):
        everything = torch.ones(call.x.shape[:2], dtype=torch.bool)
        assert error(run_visible(block, call.x, everything), out) <= 1e-6
        nothing_but_first = torch.zeros_like(everything)
        nothing_but_first[:, 0] = True
        assert error(run_visible(block, call.x, nothing_but_first), out) > 1e-2
