"""Small random models of several libraries, and of every way to read tokens."""

from collections.abc import Callable
from functools import cache

import torch
import transformers
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import transforms

from audit.models.composed_interface import ComposedInterface
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.picture_transform import PictureTransform
from audit.models.python_object import model_of
from audit.models.transformers_towers import TransformersTowers
from tests.block_models import PICTURE, TEXT, drawn, timm_model, vision_transformer

CLASSES = ("cat", "dog", "bird", "fish", "horse")
_STEPS = [
    transforms.Resize((32, 32)),
    transforms.ToTensor(),
    transforms.Normalize([0.5] * 3, [0.5] * 3),
]


def classifier(kind: str) -> nn.Module:
    """A classifier of transformers of five classes."""
    config = getattr(transformers, f"{kind}Config")(**PICTURE, num_labels=len(CLASSES))
    return getattr(transformers, f"{kind}ForImageClassification")(config)


def two_towers(kind: str) -> nn.Module:
    """Two towers of transformers."""
    ends = {"bos_token_id": 1, "eos_token_id": 98, "pad_token_id": 0}
    config = getattr(transformers, f"{kind}Config")(
        text_config={**TEXT, **ends}, vision_config=PICTURE
    )
    return getattr(transformers, f"{kind}Model")(config)


BUILD: dict[str, Callable[[], nn.Module]] = {
    "timm class token": lambda: timm_model("vit_base_patch16_224"),
    "timm average": lambda: timm_model("vit_base_patch16_224", global_pool="avg"),
    "timm rotary average": lambda: timm_model("eva02_tiny_patch14_224"),
    "timm attention pooling": lambda: timm_model("vit_base_patch16_siglip_224"),
    "torchvision class token": vision_transformer,
    "transformers class token": lambda: classifier("ViT"),
    "transformers both": lambda: classifier("Dinov2"),
    "transformers CLIP": lambda: two_towers("CLIP"),
    "transformers SigLIP": lambda: two_towers("Siglip"),
}


def _tokens(texts: list[str]) -> Tensor:
    """The last token is of the largest id, as where a text ends."""
    rows = [[1 + (i * 7 + len(text)) % 90 for i in range(11)] for text in texts]
    return torch.tensor([[*row, 98] for row in rows])


@cache
def known_model(name: str, dtype: torch.dtype = torch.float32) -> ModelUnderAudit:
    """A model by name; its biases, gains and weights matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = drawn(BUILD[name]()).to(dtype)
    transform = transforms.Compose(_STEPS)
    if name in {"transformers CLIP", "transformers SigLIP"}:
        interface = ComposedInterface(
            PictureTransform.of(transform, "small"), TransformersTowers(_tokens)
        )
        return ModelUnderAudit(name, None, module, interface, torch.device("cpu"), dtype)
    return model_of(module, transform, CLASSES, name=name)


def pairs_of(model: ModelUnderAudit, count: int = 3) -> tuple[Float[Tensor, "pairs 3 H W"], Tensor]:
    """Pictures, the last two of which are the same, and their targets."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, 32, 32, generator=generator).to(model.dtype)
    images[-1] = images[-2]
    texts = [CLASSES[i % len(CLASSES)] for i in range(count)]
    return images, model.encode(texts)
