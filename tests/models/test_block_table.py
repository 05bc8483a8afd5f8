"""Every row of the table of blocks, on small random models that the libraries build."""

import copy
import importlib
import math
from dataclasses import replace

import open_clip
import pytest
import timm
import torch
from torch import nn

from audit.models.block_check import KNOWN, checked, rebuilt
from audit.models.block_table import TABLE, block_view, call_of, why_not
from tests.block_models import MODELS, calls, drawn, error, pictures, timm_model, views

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_block_rebuilt_by_its_row_gives_the_modules_own_output(name):
    seen = views(name)
    assert len(seen) == 2
    for block, call, out in seen:
        assert torch.equal(block.run(call.x, call.mask), out)
        assert error(rebuilt(block, call.x, call.mask), out) <= KNOWN
        assert checked(block, call.x, call.mask) <= KNOWN


@pytest.mark.parametrize(
    "row", TABLE, ids=lambda row: row.removeprefix("transformers.models.").rpartition(".")[2]
)
def test_every_class_of_the_table_is_there(row):
    module, _, name = row.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), name), nn.Module)


def altered(block, change):
    module = copy.deepcopy(block.module)
    change(module)
    return replace(block, module=module)


def put(path, value):
    """Set an attribute of a block by its dotted name."""

    def change(module):
        owner, _, name = path.rpartition(".")
        setattr(module.get_submodule(owner), name, value)

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("open_clip image", put("attn.num_heads", 2)),
        ("open_clip LayerScale", put("ls_1", nn.Identity())),
        ("timm ViT", put("attn.num_heads", 8)),
        ("timm ViT", put("attn.scale", 0.3)),
        ("timm ViT", put("mlp.act", nn.ReLU())),
        ("timm q and k norms", put("attn.q_norm", nn.Identity())),
        ("timm q and k norms", put("attn.norm", nn.Identity())),
        ("timm EVA fused", put("gamma_1", None)),
        ("timm EVA fused", put("attn.v_bias", None)),
        ("timm DINOv3", put("attn.rotate_half", False)),
        ("transformers CLIP text, eager", put("self_attn.scale", 0.3)),
        ("transformers ViT, sdpa", put("attention.num_attention_heads", 2)),
        ("transformers DINOv2, sdpa", put("mlp.activation_fn", nn.ReLU())),
    ],
)
@torch.no_grad()
def test_another_computation_than_the_blocks_is_seen(name, change):
    block, call, _ = views(name)[1]
    rebuilt_otherwise = rebuilt(altered(block, change), call.x, call.mask)
    assert error(rebuilt_otherwise, block.run(call.x, call.mask)) > 1000 * KNOWN


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm DINOv3", "transformers DINOv3, sdpa"])
def test_rotary_positions_that_are_forgotten_are_seen(name):
    block, call, _ = views(name)[0]
    forgotten = rebuilt(replace(block, extra={}), call.x, call.mask)
    assert error(forgotten, block.run(call.x, call.mask)) > 1000 * KNOWN


@torch.no_grad()
def test_a_branch_that_a_small_scale_hides_is_checked_all_the_same():
    block, call, _ = views("timm DeiT 3")[0]
    hidden = altered(block, lambda m: m.ls1.gamma.data.fill_(1e-9))
    hidden.module.attn.fused_attn = True
    hidden.module.attn.scale = 0.3  # which the fused kernel does not read
    assert error(rebuilt(hidden, call.x), hidden.run(call.x)) <= KNOWN
    assert checked(hidden, call.x) > 1000 * KNOWN


BEIT = ("beit_base_patch16_224", {"use_rel_pos_bias": True, "use_abs_pos_emb": False})


@pytest.mark.parametrize("start", ["drawn", "zero"])
def test_beit_is_refused_by_its_number(start):
    model = drawn(timm_model(BEIT[0], **BEIT[1]))
    for name, parameter in model.named_parameters():
        if name.endswith("relative_position_bias_table"):
            parameter.data.mul_(0.0 if start == "zero" else 1.0)
    for path, module, call, _ in calls(model, pictures()):
        assert type(module).__module__ == "timm.models.beit"
        assert why_not(module) is None
        block = block_view(module, "image", 0, path, call.extra)
        assert checked(block, call.x, call.mask) > 1000 * KNOWN


def test_a_block_with_fewer_heads_of_keys_has_no_view():
    options = {"attn_type": "rope", "num_kv_heads": 2, "qkv_fused": False, "use_rot_pos_emb": True}
    module = timm_model("eva02_tiny_patch14_224", **options).blocks[0]
    assert "as many heads of keys as of queries" in why_not(module)
    assert block_view(module, "image", 0, "blocks.0") is None


def test_a_block_of_another_make_has_no_view():
    module = timm.create_model("convnext_atto", pretrained=False).stages[0].blocks[0]
    assert "is no class of the table" in why_not(module)
    assert block_view(module, "image", 0, "blocks.0") is None
    with pytest.raises(TypeError, match="is no class of the table"):
        call_of(module, (pictures(),), {})


def test_a_block_that_lost_a_part_says_which():
    block, _, _ = views("timm ViT")[0]
    del block.module.norm2
    assert "lacks norm2" in why_not(block.module)


@torch.no_grad()
def test_a_block_of_ones_own_with_the_names_of_a_row_is_viewed_and_checked():
    class Own(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.norm1, self.attn, self.norm2, self.mlp = (
                getattr(block, name) for name in ("norm1", "attn", "norm2", "mlp")
            )
            self.after = False

        def forward(self, x):
            x = x + (self.norm1(self.attn(x)) if self.after else self.attn(self.norm1(x)))
            return x + self.mlp(self.norm2(x))

    view, call, _ = views("timm ViT")[0]
    own = Own(view.module).eval()
    block = block_view(own, "image", 0, "blocks.0")
    assert checked(block, call.x) <= KNOWN
    own.after = True
    assert checked(block, call.x) > 1000 * KNOWN


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_are_checked_no_less_sharply(dtype):
    block, call, _ = views("timm DINOv3")[0]
    coarse = replace(block, module=copy.deepcopy(block.module).to(dtype))
    assert checked(coarse, call.x.to(dtype)) <= (1e-12 if dtype == torch.float64 else KNOWN)
    assert next(coarse.module.parameters()).dtype == dtype


@torch.no_grad()
def test_the_check_leaves_the_block_as_it_was():
    block, call, out = views("timm EVA fused")[0]
    before = copy.deepcopy(block.module.state_dict())
    checked(block, call.x)
    assert all(torch.equal(before[n], t) for n, t in block.module.state_dict().items())
    assert torch.equal(block.run(call.x), out)


@torch.no_grad()
def test_causal_attention_sees_no_later_token():
    for name in ("open_clip text", "transformers CLIP text, sdpa", "transformers CLIP text, eager"):
        block, call, _ = views(name)[0]
        q, k, _ = block.qkv(block.normalize(call.x))
        attention = block.attention(q, k, call.mask)
        assert float(attention.triu(1).max()) == 0
        assert torch.allclose(attention.sum(-1), torch.ones(2, block.heads, 12))


@torch.no_grad()
def test_blocks_that_take_tokens_first_are_run_and_rebuilt():
    block = open_clip.transformer.ResidualAttentionBlock(32, 4, batch_first=False).eval()
    view = block_view(block, "image", 0, "resblocks.0")
    x = torch.randn(2, 5, 32)
    assert torch.equal(view.run(x), block(x.transpose(0, 1)).transpose(0, 1))
    assert torch.equal(call_of(block, (x.transpose(0, 1),), {}).x, x)
    assert checked(view, x) <= KNOWN


def test_a_mask_for_a_block_that_takes_none_is_refused():
    block, call, _ = views("torchvision ViT")[0]
    with pytest.raises(ValueError, match="expected no mask"):
        block.run(call.x, torch.zeros(17, 17))


@torch.no_grad()
@pytest.mark.parametrize("name", ["open_clip image", "open_clip LayerScale", "open_clip text"])
def test_the_view_of_open_clips_block_is_its_formula_to_the_bit(name):
    """What the first edition computed, whose results are kept."""
    for block, call, _ in views(name):
        module, x = block.module, call.x
        attn, linear = module.attn, nn.functional.linear
        qkv = linear(module.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        q, k, v = qkv.chunk(3, dim=-1)
        assert all(map(torch.equal, block.qkv(block.normalize(x)), (q, k, v)))
        qh, kh, vh = (z.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for z in (q, k, v))
        logits = qh @ kh.transpose(-2, -1) / math.sqrt(qh.shape[-1])
        logits = logits if call.mask is None else logits + call.mask
        assert torch.equal(block.attention_logits(q, k, call.mask), logits)
        mixed = (logits.softmax(-1) @ vh).transpose(1, 2).flatten(2)
        assert torch.equal(block.mix_values(block.attention(q, k, call.mask), v), mixed)
        projected = linear(mixed, attn.out_proj.weight, attn.out_proj.bias)
        assert torch.equal(block.project(mixed), projected)
        middle = x + module.ls_1(projected)
        output = middle + module.ls_2(module.mlp(module.ln_2(middle)))
        assert torch.equal(block.finish(x, projected), output)
        one = block.attention_logits(q, k, heads=1)[:, 0]
        assert torch.equal(one, (q @ k.mT) / math.sqrt(q.shape[-1]))


def test_parts_of_other_shapes_than_the_names_say_are_no_known_inside():
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", pretrained=False, img_size=56, depths=(2, 2, 2, 2)
    )
    (path, module, call, _), *_ = calls(swin.eval(), torch.randn(1, 3, 56, 56))
    assert why_not(module) is None
    assert checked(block_view(module, "image", 0, path, call.extra), call.x) == math.inf


def test_a_block_that_runs_in_half_precision_alone_has_no_known_inside():
    class Half(nn.Module):
        def forward(self, x):
            raise RuntimeError("expected half precision")

    block, call, _ = views("timm ViT")[0]
    block.module.mlp = Half()
    assert checked(block, call.x) == math.inf


class OpenAIBlock(nn.Module):
    """The block of OpenAI's `clip`: tokens first, and the mask is its own."""

    def __init__(self, block, mask):
        super().__init__()
        self.attn, self.ln_1, self.mlp, self.ln_2 = block.attn, block.ln_1, block.mlp, block.ln_2
        self.attn_mask = mask

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.attn_mask)[0]
        return x + self.mlp(self.ln_2(x))


@torch.no_grad()
@pytest.mark.parametrize("tower", ["image", "text"])
def test_the_block_of_openais_package_is_viewed_with_the_mask_that_it_holds(tower):
    mask = torch.full((5, 5), -math.inf).triu(1) if tower == "text" else None
    block = open_clip.transformer.ResidualAttentionBlock(32, 4, batch_first=False)
    own = OpenAIBlock(drawn(block), mask).eval()
    view = block_view(own, tower, 0, "resblocks.0")
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(view.run(x), own(x.transpose(0, 1)).transpose(0, 1))
    assert checked(view, x) <= KNOWN
    q, k, _ = view.qkv(view.normalize(x))
    assert (float(view.attention(q, k).triu(1).max()) == 0) == (tower == "text")
