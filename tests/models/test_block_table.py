"""Every row of the table of blocks, on small random models that the libraries build."""

import copy
import importlib
import math
from dataclasses import replace

import open_clip
import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from audit.models.block_check import KNOWN, checked, rebuilt
from audit.models.block_table import TABLE, block_view, call_of, row_of, why_not

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
PICTURE = {**SIZE, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
TEXT = {**SIZE, "num_attention_heads": 4, "vocab_size": 99, "max_position_embeddings": 12}
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}


def timm_model(name, **options):
    sizes = {**VIT, "num_classes": 5, **options}
    return timm.create_model(name, pretrained=False, **sizes)


def pictures():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def tokens():
    return torch.randint(1, 90, (2, 12), generator=torch.Generator().manual_seed(2))


def clip(**vision):
    sizes = {"image_size": 32, "patch_size": 8, "layers": 2, "width": 32, "head_width": 8}
    text = {"context_length": 12, "vocab_size": 99, "width": 16, "heads": 2, "layers": 2}
    return open_clip.CLIP(16, {**sizes, **vision}, text)


def hugging(name, attention, **options):
    config = getattr(transformers, name.replace("Model", "Config"))(**options)
    config._attn_implementation = attention  # noqa: SLF001 - a configuration's own way
    return getattr(transformers, name)(config)


def vision_transformer():
    return torchvision.models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=5)


def custom(**options):
    """open_clip's block of many options, two in a row."""
    blocks = [
        open_clip.transformer.CustomResidualAttentionBlock(
            32, 4, ls_init_value=0.1, scale_attn=True, scale_fc=True, **options
        )
        for _ in range(2)
    ]
    return nn.Sequential(nn.Conv2d(3, 32, 8, 8), nn.Flatten(2), Turned(), *blocks)


class Turned(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


EVA = {"use_rot_pos_emb": True, "init_values": 0.1}
MODELS = {
    "open_clip image": (clip, pictures),
    "open_clip LayerScale": (lambda: clip(ls_init_value=0.1), pictures),
    "open_clip text": (lambda: Text(clip()), tokens),
    "open_clip custom": (lambda: custom(qk_norm=True, scale_attn_inner=True), pictures),
    "torchvision ViT": (vision_transformer, pictures),
    "timm ViT": (lambda: timm_model("vit_base_patch16_224"), pictures),
    "timm average": (
        lambda: timm_model("vit_base_patch16_224", class_token=False, global_pool="avg"),
        pictures,
    ),
    "timm DeiT 3": (lambda: timm_model("deit3_small_patch16_224"), pictures),
    "timm DINOv2": (lambda: timm_model("vit_small_patch14_reg4_dinov2"), pictures),
    "timm SigLIP": (lambda: timm_model("vit_base_patch16_siglip_224", num_classes=0), pictures),
    "timm q and k norms": (
        lambda: timm_model("vit_base_patch16_224", qk_norm=True, scale_attn_norm=True),
        pictures,
    ),
    "timm EVA 02": (lambda: timm_model("eva02_tiny_patch14_224"), pictures),
    "timm EVA fused": (lambda: timm_model("eva_giant_patch14_224", **EVA), pictures),
    "timm EVA inner norm": (
        lambda: timm_model("eva02_tiny_patch14_224", scale_attn_inner=True, qk_norm=True),
        pictures,
    ),
    "timm DINOv3": (lambda: timm_model("vit_small_patch16_dinov3"), pictures),
    "timm PE-Core": (lambda: timm_model("vit_pe_core_tiny_patch16_384", num_classes=0), pictures),
    "timm ViT of mixed rotations": (
        lambda: timm_model("vit_small_patch16_rope_mixed_224"),
        pictures,
    ),
}
HUGGING = {
    "CLIP image": ("CLIPVisionModel", pictures, PICTURE),
    "CLIP text": ("CLIPTextModel", tokens, TEXT),
    "SigLIP image": ("SiglipVisionModel", pictures, PICTURE),
    "SigLIP text": ("SiglipTextModel", tokens, TEXT),
    "ViT": ("ViTModel", pictures, PICTURE),
    "DeiT": ("DeiTModel", pictures, PICTURE),
    "DINOv2": ("Dinov2Model", pictures, PICTURE),
    "DINOv2 SwiGLU": ("Dinov2Model", pictures, {**PICTURE, "use_swiglu_ffn": True}),
    "DINOv2 registers": ("Dinov2WithRegistersModel", pictures, PICTURE),
    "DINOv3": ("DINOv3ViTModel", pictures, PICTURE),
    "BLIP": ("BlipVisionModel", pictures, PICTURE),
    "MetaCLIP 2": ("MetaClip2TextModel", tokens, TEXT),
}
MODELS |= {
    f"transformers {name}, {attention}": (
        lambda model=model, attention=attention, options=options: hugging(
            model, attention, **options
        ),
        inputs,
    )
    for name, (model, inputs, options) in HUGGING.items()
    for attention in (("eager",) if name == "BLIP" else ("eager", "sdpa"))
}


class Text(nn.Module):
    """The text tower of an open_clip model, as a model."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model.encode_text(ids)


def drawn(model, seed=0):
    """The model in eval mode with gains and scales from U(.5, 1.5), biases from U(-.5, .5)."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data = torch.rand(parameter.shape, generator=generator) - 0.5
        elif parameter.ndim == 1:
            parameter.data = torch.rand(parameter.shape, generator=generator) + 0.5
        elif parameter.ndim == 2:
            parameter.data = torch.randn(parameter.shape, generator=generator)
            parameter.data /= math.sqrt(parameter.shape[1])
    return model.eval()


def blocks_of(model):
    """Modules that run one after another and have a row, outermost."""
    found = [(n, m) for n, m in model.named_modules() if row_of(m)]
    return [(n, m) for n, m in found if not any(n.startswith(f"{o}.") for o, _ in found)]


def calls(model, inputs):
    """What every block is given and gives when the model runs."""
    seen, handles = [], []

    def note(path):
        def hook(module, args, keywords, out):
            seen.append((path, module, call_of(module, args, keywords), out))

        return hook

    for path, module in blocks_of(model):
        handles.append(module.register_forward_hook(note(path), with_kwargs=True))
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    return seen


def views(name):
    build, inputs = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = drawn(build())
    return [
        (block_view(module, "image", i, path, call.extra), call, out)
        for i, (path, module, call, out) in enumerate(calls(model, inputs()))
    ]


def error(a, b):
    return float((a - b).norm() / b.norm())


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
