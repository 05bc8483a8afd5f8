"""Train the bundled model: `python -m audit.models.bundled.train --out DIRECTORY`.

Each picture is scored against the prompts of all classes; the loss is the mean, over the pairs of
a picture and a class that it shows, of the cross-entropy of that class against every class that
the picture does not show: the audit calls a pair right by the same comparison. All classes are
seen in training. The image tower is kept along the way as well: the ladder's checkpoints.
The same settings on the same CPU with the same library versions give the same weights, bit for
bit, whatever the number of workers.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click
import open_clip
import torch
from jaxtyping import Bool, Float, Int, UInt8
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset

from audit.data.scenes import CLASSES, TEMPLATES, draw_scene
from audit.models.bundled import CONFIG_PATH, WEIGHTS_PATH

__all__ = ["Settings", "build_model", "save_model", "train_model"]

Batch: TypeAlias = tuple[UInt8[Tensor, "batch 3 72 72"], Bool[Tensor, "batch classes"]]
_MAX_LOGIT_SCALE = math.log(100.0)
KEPT_PERCENT = (6, 16, 25, 32, 40, 50)


@dataclass(frozen=True)
class Settings:
    """How the bundled model is trained.

    Attributes:
        pictures: scenes drawn in all; every scene is seen once.
        batch_size: scenes per step.
        single_object_steps: first steps, which see scenes of one object only.
        warmup_steps: first steps, over which the learning rate rises from zero.
        learning_rate: highest learning rate of AdamW; it falls to zero along a cosine.
        seed: of the initial weights and of the scenes.
        workers: processes that draw scenes, each at most two batches ahead; 0 draws in place.
    """

    pictures: int = 160_000
    batch_size: int = 64
    single_object_steps: int = 400
    warmup_steps: int = 100
    learning_rate: float = 1.2e-3
    seed: int = 0
    workers: int = 1

    @property
    def kept_steps(self) -> dict[int, int]:
        """Steps after which the image tower is kept, and their share of all steps in percent."""
        return {max(1, self.steps * percent // 100): percent for percent in KEPT_PERCENT}

    @property
    def steps(self) -> int:
        """Number of whole batches."""
        return self.pictures // self.batch_size


class SceneDataset(Dataset[tuple[UInt8[Tensor, "3 72 72"], Bool[Tensor, " classes"]]]):
    """Scenes of the train split in the order in which training sees them."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; scenes are drawn when asked for."""
        self.settings = settings

    def __len__(self) -> int:
        """Count the scenes of all whole batches."""
        return self.settings.steps * self.settings.batch_size

    def __getitem__(self, index: int) -> tuple[UInt8[Tensor, "3 72 72"], Bool[Tensor, " classes"]]:
        """Draw scene `index` and tell which classes it shows."""
        early = index < self.settings.single_object_steps * self.settings.batch_size
        scene = draw_scene(
            index,
            seed=self.settings.seed,
            split="train",
            objects=1 if early else None,
            level=0 if early else None,
        )
        present = torch.zeros(len(CLASSES), dtype=torch.bool)
        present[list(scene.labels)] = True
        return torch.from_numpy(scene.image).permute(2, 0, 1), present


def build_model(seed: int, config_path: Path = CONFIG_PATH) -> open_clip.CLIP:
    """Build an untrained model of the bundled architecture, its weights drawn from `seed`."""
    config = json.loads(config_path.read_text(encoding="utf-8"))["model_cfg"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return open_clip.CLIP(**config)


def train_model(
    settings: Settings,
    device: torch.device,
    report: Callable[[int, float, open_clip.CLIP], None] = lambda _step, _loss, _model: None,
) -> open_clip.CLIP:
    """Train a fresh model.

    Args:
        settings: of the training.
        device: that it runs on.
        report: is given the number and the loss of every step done, and the model as it is then.

    Raises:
        ValueError: there are fewer pictures than one batch holds.
    """
    if settings.steps < 1:
        msg = f"pictures ({settings.pictures}) must fill a batch of {settings.batch_size}"
        raise ValueError(msg)
    model = build_model(settings.seed).to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings)
    )
    prompts = prompt_tokens(model.context_length).to(device)
    for step, (pixels, present) in enumerate(_batches(settings)):
        images = (pixels.to(device).float() / 255 - 0.5) / 0.5
        loss = pair_loss(model, images, prompts[step % len(prompts)], present.to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, _MAX_LOGIT_SCALE)
        report(step + 1, float(loss.detach()), model)
    return model.eval()


def learning_rate_factor(step: int, settings: Settings) -> float:
    """Give the learning rate of a step as a fraction of the highest: warm-up, then cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    length = max(settings.steps - settings.warmup_steps, 1)
    return (1 + math.cos(math.pi * (step - settings.warmup_steps) / length)) / 2


def prompt_tokens(context_length: int) -> Int[Tensor, "templates classes context"]:
    """Tokenize the prompt of every class under every template."""
    tokenizer = open_clip.SimpleTokenizer(context_length=context_length)
    return torch.stack([tokenizer([t.format(name) for name in CLASSES]) for t in TEMPLATES])


def save_model(model: open_clip.CLIP, directory: Path) -> Path:
    """Write the weights, rounded to float16, and the configuration; return the weights' path."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().cpu() for name, value in model.state_dict().items()}
    path = directory / WEIGHTS_PATH.name
    save_file(state, path, metadata={"format": "pt"})
    config = directory / CONFIG_PATH.name
    if not config.exists():
        shutil.copyfile(CONFIG_PATH, config)
    return path


def save_image_tower(model: open_clip.CLIP, directory: Path, percent: int) -> Path:
    """Write the image tower, rounded to float16, as it is after `percent` of the training."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().half().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name.startswith("visual.")
    }
    path = directory / f"image_tower_{percent:02d}.safetensors"
    save_file(state, path, metadata={"format": "pt"})
    return path


def _batches(settings: Settings) -> DataLoader[Batch]:
    return DataLoader(
        SceneDataset(settings),
        batch_size=settings.batch_size,
        num_workers=settings.workers,
        prefetch_factor=2 if settings.workers else None,
        multiprocessing_context="spawn" if settings.workers else None,
        generator=torch.Generator().manual_seed(settings.seed),
    )


def pair_loss(
    model: open_clip.CLIP,
    images: Float[Tensor, "batch 3 72 72"],
    prompts: Int[Tensor, "classes context"],
    present: Bool[Tensor, "batch classes"],
) -> Float[Tensor, ""]:
    # The fused attention kernels of GPUs sum in an order that varies from run to run.
    exact_order = sdpa_kernel(SDPBackend.MATH)
    with torch.autocast(images.device.type, dtype=torch.bfloat16), exact_order:
        image_features = model.encode_image(images)
        text_features = model.encode_text(prompts)
    image_features = functional.normalize(image_features.float(), dim=-1)
    text_features = functional.normalize(text_features.float(), dim=-1)
    logits = model.logit_scale.exp() * image_features @ text_features.T
    rivals = logits.masked_fill(present, -math.inf).logsumexp(dim=1, keepdim=True)
    return functional.softplus(rivals - logits)[present].mean()


def pick_device(name: str) -> torch.device:
    """Turn a device's name into a device; "auto" is the first GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--seed", default=Settings.seed, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--pictures", default=Settings.pictures, show_default=True)
@click.option("--batch-size", default=Settings.batch_size, show_default=True)
@click.option("--learning-rate", default=Settings.learning_rate, show_default=True)
@click.option("--workers", default=Settings.workers, show_default=True)
@click.option("--log-every", default=50, show_default=True, help="Steps between lines.")
def main(
    *,
    out: Path,
    seed: int,
    device: str,
    pictures: int,
    batch_size: int,
    learning_rate: float,
    workers: int,
    log_every: int,
) -> None:
    """Train the bundled model and write its weights and configuration to a directory."""
    settings = Settings(
        pictures=pictures,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        workers=workers,
    )
    begin = time.monotonic()

    kept = settings.kept_steps

    def report(step: int, loss: float, model: open_clip.CLIP) -> None:
        if step in kept:
            click.echo(f"wrote {save_image_tower(model, out, kept[step])}")
        if step % log_every == 0 or step == settings.steps:
            rate = step * settings.batch_size / (time.monotonic() - begin)
            click.echo(f"step {step}/{settings.steps}  loss {loss:.4f}  {rate:.0f} pictures/s")

    try:
        model = train_model(settings, pick_device(device), report)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"wrote {save_model(model, out)}")


if __name__ == "__main__":
    main()
