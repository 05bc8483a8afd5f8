"""Measure the bundled model: `python -m audit.models.bundled.evaluate`.

Two counts on held-out scenes, under the zero-shot protocol. A picture is right when the class
prompt that scores highest names an object that is present. A pair of a picture and a present
class is right when that class outranks every absent one; this is the harder of the two where a
picture shows several objects. The scenes are new to the model, their classes are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click
import open_clip
import torch
from jaxtyping import Bool, Float
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import binomtest
from torch import Tensor

from audit.data.scenes import CLASSES, HARDEST, MAX_OBJECTS, TEMPLATES, Scene, draw_scenes
from audit.models.bundled import DIRECTORY
from audit.models.bundled.train import pick_device

__all__ = [
    "Accuracy",
    "class_features",
    "class_scores",
    "load_model",
    "pair_accuracy",
    "picture_accuracy",
    "present_classes",
    "set_last_image_heads",
]

LEVELS = ((0, 0), (1, 25), (26, 50), (51, 75), (76, HARDEST))
Preprocess: TypeAlias = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Accuracy:
    """How many pictures or pairs were right, of how many.

    The interval takes them as independent, which the pairs of one picture are not quite.
    """

    correct: int
    count: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Give the exact (Clopper-Pearson) interval of the accuracy, within [0, 1]."""
        interval = binomtest(self.correct, self.count).proportion_ci(confidence, method="exact")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        low, high = self.interval()
        share = self.correct / self.count
        return f"{self.correct}/{self.count} {share:.2%} [{low:.2%}, {high:.2%}]"


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
def class_scores(
    model: open_clip.CLIP,
    preprocess: Preprocess,
    features: Float[Tensor, "classes dim"],
    scenes: Sequence[Scene],
    batch_size: int = 250,
) -> Float[Tensor, "scenes classes"]:
    """Score each scene against every class prompt: the cosine, in [-1, 1], on the CPU."""
    scores = [torch.empty(0, len(features))]
    for start in range(0, len(scenes), batch_size):
        batch = scenes[start : start + batch_size]
        images = torch.stack([preprocess(Image.fromarray(scene.image)) for scene in batch])
        encoded = model.encode_image(images.to(features.device), normalize=True)
        scores.append((encoded @ features.T).cpu())
    return torch.cat(scores)


def present_classes(scenes: Sequence[Scene]) -> Bool[Tensor, "scenes classes"]:
    """Tell which classes each scene shows."""
    present = torch.zeros(len(scenes), len(CLASSES), dtype=torch.bool)
    for row, scene in zip(present, scenes, strict=True):
        row[list(scene.labels)] = True
    return present


def picture_accuracy(
    scores: Float[Tensor, "scenes classes"], present: Bool[Tensor, "scenes classes"]
) -> Accuracy:
    """Count the pictures whose highest scoring class is present."""
    hits = present.gather(1, scores.argmax(dim=1, keepdim=True))
    return Accuracy(int(hits.sum()), len(hits))


def pair_accuracy(
    scores: Float[Tensor, "scenes classes"], present: Bool[Tensor, "scenes classes"]
) -> Accuracy:
    """Count the pairs of a picture and a present class that outrank every absent class."""
    rival = scores.masked_fill(present, -math.inf).amax(dim=1, keepdim=True)
    hits = (scores > rival)[present]
    return Accuracy(int(hits.sum()), len(hits))


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
@click.option("--level", type=click.IntRange(0, HARDEST), help="Difficulty of every scene.")
@click.option("--seed", default=0, show_default=True, help="Of the held-out scenes.")
@click.option("--device", default="auto", show_default=True)
@click.option(
    "--tower",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Image tower of an earlier state of the training, in place of the finished one.",
)
@click.option("--heads", type=int, help="Heads of the last image block, in place of its own.")
def main(
    *,
    directory: Path,
    pictures: int,
    objects: int | None,
    level: int | None,
    seed: int,
    device: str,
    tower: Path | None,
    heads: int | None,
) -> None:
    """Print the zero-shot accuracy on held-out scenes: right / all, share, exact 95 % interval."""
    model, preprocess = load_model(directory)
    if tower is not None:
        model.load_state_dict(load_file(tower), strict=False)
    model.to(pick_device(device))
    if heads is not None:
        try:
            set_last_image_heads(model, heads)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--heads") from error
    scenes = draw_scenes(pictures, seed=seed, split="test", objects=objects, level=level)
    scores = class_scores(model, preprocess, class_features(model, directory), scenes)
    present = present_classes(scenes)
    counts = present.sum(dim=1)
    rows = {f"objects {n}": counts == n for n in sorted(set(counts.tolist()))}
    levels = torch.tensor([scene.level for scene in scenes])
    for low, high in LEVELS:
        within = (low <= levels) & (levels <= high)
        if within.any():
            rows["easy" if high == 0 else f"level {low}-{high}"] = within
    for name, chosen in {**rows, "all": counts > 0}.items():
        part = scores[chosen], present[chosen]
        click.echo(f"{name:12} pictures {picture_accuracy(*part)}   pairs {pair_accuracy(*part)}")


if __name__ == "__main__":
    main()
