"""Small random models of every class of blocks, built by their libraries, and views of them."""

import math

import open_clip
import timm
import torch
import torchvision
import transformers
from torch import nn

from audit.models.block_table import block_view, call_of, row_of

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
    "DINOv3 gated": ("DINOv3ViTModel", pictures, {**PICTURE, "use_gated_mlp": True}),
    "BLIP": ("BlipVisionModel", pictures, PICTURE),
    "MetaCLIP 2 text": ("MetaClip2TextModel", tokens, TEXT),
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


def built(name):
    """A small random model by its name, and inputs of it."""
    build, inputs = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return drawn(build()), inputs()


def views(name):
    """The view of each block of a model, what it was given and what it gave."""
    return views_of(*built(name))


def views_of(model, inputs):
    return [
        (block_view(module, "image", i, path, call.extra), call, out)
        for i, (path, module, call, out) in enumerate(calls(model, inputs))
    ]


def error(a, b):
    return float((a - b).norm() / b.norm())
