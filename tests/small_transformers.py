"""Small random models of transformers of each kind, saved in folders as the library does."""

import json

import torch

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
TEXT = {**SMALL, "vocab_size": 99, "max_position_embeddings": 12}
EYE = {**SMALL, "image_size": 32, "patch_size": 8}
SHIFTED = {
    "image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4,
}  # fmt: skip
NAMES = {0: "cat", 1: "dog, hound", 2: "bird"}
SIDES = {"height": 32, "width": 32}


def classifier(kind, config, processor):
    ids = {name: i for i, name in NAMES.items()}
    return (
        kind,
        lambda t: getattr(t, config[0])(**config[1], id2label=NAMES, label2id=ids),
        processor,
    )


MADE = {
    "vit": classifier(
        "ViTForImageClassification", ("ViTConfig", EYE), ("ViTImageProcessor", {"size": SIDES})
    ),
    "deit": classifier(
        "DeiTForImageClassification",
        ("DeiTConfig", EYE),
        ("DeiTImageProcessor", {"size": {"height": 36, "width": 36}, "crop_size": SIDES}),
    ),
    "dinov2": classifier(
        "Dinov2ForImageClassification",
        ("Dinov2Config", EYE),
        ("BitImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": SIDES}),
    ),
    "resnet": classifier(
        "ResNetForImageClassification",
        ("ResNetConfig", {"embedding_size": 8, "hidden_sizes": [8] * 4, "depths": [1] * 4}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 128}, "crop_pct": 0.875}),
    ),
    "swin": classifier(
        "SwinForImageClassification",
        ("SwinConfig", SHIFTED),
        ("ViTImageProcessor", {"size": SIDES}),
    ),
    "convnext": classifier(
        "ConvNextForImageClassification",
        ("ConvNextConfig", {"hidden_sizes": [8] * 4, "depths": [1] * 4}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 128}, "crop_pct": 0.875}),
    ),
    "clip": (
        "CLIPModel",
        lambda t: t.CLIPConfig(text_config=TEXT, vision_config=EYE, projection_dim=16),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 32}, "crop_size": SIDES}),
    ),
    "siglip": (
        "SiglipModel",
        lambda t: t.SiglipConfig(text_config=TEXT, vision_config=EYE),
        ("SiglipImageProcessor", {"size": SIDES}),
    ),
}


def write(name, folder):
    """Save one with its image processor, and a tokenizer where there is a text tower."""
    import transformers

    kind, config, (processor, options) = MADE[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = getattr(transformers, kind)(config(transformers)).eval()
    if name == "siglip":
        torch.nn.init.constant_(module.logit_bias, -3)
    module.save_pretrained(folder)
    getattr(transformers, processor)(**options).save_pretrained(folder)
    if name in {"clip", "siglip"}:
        write_tokenizer(folder)


def write_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "a", "cat", "dog", "photo", "of", "."])}
    rules = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
