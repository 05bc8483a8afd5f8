"""The weights of a CLIP of open_clip in the module of another library."""

import json

import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import nn


def write_as_transformers(module, folder):
    """Save a CLIP of open_clip, with GELU and ViT, as transformers' CLIPModel with its tokenizer.

    Its pictures are squashed, and normalized by 0.5 and 0.5 as those of small models here.
    """
    import transformers

    visual, text = module.visual, module
    shared = {"hidden_act": "gelu", "layer_norm_eps": 1e-5}
    config = transformers.CLIPConfig(
        projection_dim=visual.proj.shape[1],
        vision_config={
            **_sizes(visual.transformer),
            **shared,
            "image_size": visual.image_size[0],
            "patch_size": visual.conv1.kernel_size[0],
        },
        text_config={
            **_sizes(text.transformer),
            **shared,
            "vocab_size": text.token_embedding.num_embeddings,
            "max_position_embeddings": text.positional_embedding.shape[0],
            "eos_token_id": 49_407,
        },
    )
    other = transformers.CLIPModel(config).eval()
    other.load_state_dict(dict(_converted(module, other)))
    other.save_pretrained(folder)
    side = visual.image_size[0]
    transformers.CLIPImageProcessor(
        size={"height": side, "width": side},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(folder)
    known = SimpleTokenizer()
    merges = [pair for pair, _ in sorted(known.bpe_ranks.items(), key=lambda item: item[1])]
    tokenizer = transformers.CLIPTokenizer(vocab=dict(known.encoder), merges=merges, **SPECIAL)
    tokenizer.save_pretrained(folder)


_START, _END = "<start_of_text>", "<end_of_text>"
SPECIAL = {"unk_token": _END, "bos_token": _START, "eos_token": _END, "pad_token": _END}


def _sizes(transformer):
    block = transformer.resblocks[0]
    return {
        "hidden_size": transformer.width,
        "num_hidden_layers": len(transformer.resblocks),
        "num_attention_heads": block.attn.num_heads,
        "intermediate_size": block.mlp.c_fc.out_features,
    }


def _converted(module, other):
    """Name and value of every tensor of the other module."""
    visual, own = module.visual, other.state_dict()
    eye, words = "vision_model.", "text_model."
    positions = "embeddings.position_embedding.weight"
    yield "logit_scale", module.logit_scale
    yield f"{eye}embeddings.class_embedding", visual.class_embedding
    yield f"{eye}embeddings.patch_embedding.weight", visual.conv1.weight
    yield f"{eye}{positions}", visual.positional_embedding
    yield f"{words}embeddings.token_embedding.weight", module.token_embedding.weight
    yield f"{words}{positions}", module.positional_embedding
    yield "visual_projection.weight", visual.proj.T
    yield "text_projection.weight", module.text_projection.T
    yield from _named(f"{eye}pre_layrnorm", visual.ln_pre)
    yield from _named(f"{eye}post_layernorm", visual.ln_post)
    yield from _named(f"{words}final_layer_norm", module.ln_final)
    for prefix, transformer in ((eye, visual.transformer), (words, module.transformer)):
        for i, block in enumerate(transformer.resblocks):
            yield from _block(f"{prefix}encoder.layers.{i}.", block)
    yield from ((name, own[name]) for name in own if name.endswith("position_ids"))


def _block(prefix, block):
    weights, biases = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
    for letter, weight, bias in zip("qkv", weights, biases, strict=True):
        yield f"{prefix}self_attn.{letter}_proj.weight", weight
        yield f"{prefix}self_attn.{letter}_proj.bias", bias
    yield from _named(f"{prefix}self_attn.out_proj", block.attn.out_proj)
    yield from _named(f"{prefix}layer_norm1", block.ln_1)
    yield from _named(f"{prefix}layer_norm2", block.ln_2)
    yield from _named(f"{prefix}mlp.fc1", block.mlp.c_fc)
    yield from _named(f"{prefix}mlp.fc2", block.mlp.c_proj)


def _named(prefix: str, part: nn.Module):
    for name, value in part.state_dict().items():
        yield f"{prefix}.{name}", torch.as_tensor(value)


def write_with_timm_tower(module, config, folder, tower="vit_tiny_patch16_224"):
    """Save a CLIP of open_clip without a norm before its blocks, its image tower held by timm.

    Args:
        module: of open_clip.
        config: its `open_clip_config.json` as a table.
        folder: that is written, for ``local-dir:``.
        tower: architecture of timm of the same sizes.
    """
    vision = {
        "image_size": module.visual.image_size[0],
        "timm_model_name": tower,
        "timm_pool": "token",
        "timm_proj": "linear",
    }
    document = {**config, "model_cfg": {**config["model_cfg"], "vision_cfg": vision}}
    state = {n: t for n, t in module.state_dict().items() if not n.startswith("visual.")}
    state |= {f"visual.{name}": value for name, value in _in_timm(module.visual)}
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    save_file({n: t.contiguous() for n, t in state.items()}, folder / "model.safetensors")


def _in_timm(visual):
    """Name and value of every tensor of the image tower as timm holds it."""
    yield "head.proj.weight", visual.proj.T
    yield "trunk.cls_token", visual.class_embedding[None, None]
    yield "trunk.pos_embed", visual.positional_embedding[None]
    yield "trunk.patch_embed.proj.weight", visual.conv1.weight
    yield "trunk.patch_embed.proj.bias", torch.zeros(len(visual.conv1.weight))
    yield from _named("trunk.norm", visual.ln_post)
    for i, block in enumerate(visual.transformer.resblocks):
        prefix = f"trunk.blocks.{i}."
        yield f"{prefix}attn.qkv.weight", block.attn.in_proj_weight
        yield f"{prefix}attn.qkv.bias", block.attn.in_proj_bias
        yield from _named(f"{prefix}attn.proj", block.attn.out_proj)
        yield from _named(f"{prefix}norm1", block.ln_1)
        yield from _named(f"{prefix}norm2", block.ln_2)
        yield from _named(f"{prefix}mlp.fc1", block.mlp.c_fc)
        yield from _named(f"{prefix}mlp.fc2", block.mlp.c_proj)
