"""Measure the bundled model: `python -m audit.models.bundled.evaluate`.

Zero-shot top-1 on held-out scenes: a picture counts as right when the class prompt that scores
highest names an object that is present. The scenes are new to the model, their classes are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click
import open_clip
import torch
from jaxtyping import Float
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from audit.data.scenes import CLASSES, MAX_OBJECTS, TEMPLATES, Scene, draw_scenes
from audit.models.bundled import DIRECTORY
from audit.models.bundled.train import pick_device

__all__ = [
    "Accuracy",
    "class_features",
    "load_model",
    "set_last_image_heads",
    "zero_shot_correct",
]

Preprocess: TypeAlias = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Accuracy:
    """A number of pictures, and how many of them were right."""

    correct: int
    pictures: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Give the exact (Clopper-Pearson) interval of the accuracy, within [0, 1]."""
        interval = binomtest(self.correct, self.pictures).proportion_ci(confidence, method="exact")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        low, high = self.interval()
        share = self.correct / self.pictures
        return f"{share:7.2%} [{low:.2%}, {high:.2%}]  {self.correct}/{self.pictures}"


def load_model(directory: Path = DIRECTORY) -> tuple[open_clip.CLIP, Preprocess]:
    """Load a model of the bundled architecture, in eval mode, with its preprocessing.

    The weights are stored in float16 and computed with in float32.
    """
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    return model.eval(), preprocess


def set_last_image_heads(model: open_clip.CLIP, heads: int) -> None:
    """Let the last block of the image tower attend with another number of heads, in place.

    Raises:
        ValueError: the width is no multiple of `heads`.
    """
    attention = model.visual.transformer.resblocks[-1].attn
    if heads < 1 or attention.embed_dim % heads:
        msg = f"the width {attention.embed_dim} is no multiple of {heads} heads"
        raise ValueError(msg)
    attention.num_heads, attention.head_dim = heads, attention.embed_dim // heads


@torch.no_grad()
def class_features(
    model: open_clip.CLIP, directory: Path = DIRECTORY
) -> Float[Tensor, "classes dim"]:
    """Encode the prompt of every class, scaled to unit length."""
    tokenizer = open_clip.get_tokenizer(f"local-dir:{directory}")
    tokens = tokenizer([TEMPLATES[0].format(name) for name in CLASSES])
    features: Tensor = model.encode_text(tokens.to(model.logit_scale.device), normalize=True)
    return features


@torch.no_grad()
def zero_shot_correct(
    model: open_clip.CLIP,
    preprocess: Preprocess,
    features: Float[Tensor, "classes dim"],
    scenes: Sequence[Scene],
    batch_size: int = 250,
) -> list[bool]:
    """Tell of each scene whether the highest scoring class prompt names an object in it."""
    correct: list[bool] = []
    for start in range(0, len(scenes), batch_size):
        batch = scenes[start : start + batch_size]
        images = torch.stack([preprocess(Image.fromarray(scene.image)) for scene in batch])
        encoded = model.encode_image(images.to(features.device), normalize=True)
        best = (encoded @ features.T).argmax(dim=1).tolist()
        correct += [label in scene.labels for label, scene in zip(best, batch, strict=True)]
    return correct


@click.command()
@click.option(
    "--model",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=DIRECTORY,
    help="Directory of the weights and the configuration.  [default: the bundled ones]",
)
@click.option("--pictures", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--objects", type=click.IntRange(1, MAX_OBJECTS), help="Objects in every scene.")
@click.option("--seed", default=0, show_default=True, help="Of the held-out scenes.")
@click.option("--device", default="auto", show_default=True)
@click.option("--heads", type=int, help="Heads of the last image block, in place of its own.")
def main(
    *,
    directory: Path,
    pictures: int,
    objects: int | None,
    seed: int,
    device: str,
    heads: int | None,
) -> None:
    """Print the zero-shot top-1 of a present object on held-out scenes, with 95 % intervals."""
    model, preprocess = load_model(directory)
    model.to(pick_device(device))
    if heads is not None:
        try:
            set_last_image_heads(model, heads)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--heads") from error
    scenes = draw_scenes(pictures, seed=seed, split="test", objects=objects)
    correct = zero_shot_correct(model, preprocess, class_features(model, directory), scenes)
    for number in sorted({len(scene.labels) for scene in scenes}):
        part = [c for c, scene in zip(correct, scenes, strict=True) if len(scene.labels) == number]
        click.echo(f"objects {number}   {Accuracy(sum(part), len(part))}")
    click.echo(f"all         {Accuracy(sum(correct), len(correct))}")


if __name__ == "__main__":
    main()
