"""The bundled scenes as pairs: one pair per object that a scene shows."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audit.data import scenes
from audit.data.pairs import ModelInputs, OtherNames, Pairs


def bundled_pairs(model: ModelInputs, count: int, *, seed: int = 0) -> Pairs:
    """Pairs from held-out scenes.

    Args:
        model: preprocesses the pictures and prompts.
        count: number of pairs.
        seed: of the scenes.
    """
    images, masks, present = [], [], []
    labels: list[int] = []
    picture: list[int] = []
    ids: list[str] = []
    index = 0
    while len(ids) < count:
        scene = scenes.draw_scene(index, seed=seed)
        images.append(model.preprocess(Image.fromarray(scene.image)))
        row = torch.zeros(len(scenes.CLASSES), dtype=torch.bool)
        row[list(scene.labels)] = True
        present.append(row)
        for label, mask in zip(scene.labels, scene.masks, strict=True):
            if len(ids) < count:
                picture.append(len(images) - 1)
                labels.append(label)
                ids.append(f"scene-{seed}-{index}-{scenes.CLASSES[label].replace(' ', '-')}")
                as_picture = Image.fromarray((mask * 255).astype(np.uint8))
                masks.append(model.preprocess_mask(as_picture)[0] > 0.5)
        index += 1
    templates = scenes.TEMPLATES if model.uses_templates else ("{}",)

    def targets(names: tuple[str, ...]) -> Tensor:
        return model.encode([templates[0].format(name) for name in names])

    others = scenes.OTHER_NAMES if model.uses_templates else ()
    return Pairs(
        name="bundled scenes",
        ids=tuple(ids),
        images=torch.stack(images),
        picture=torch.tensor(picture),
        labels=torch.tensor(labels),
        present=torch.stack(present),
        masks=torch.stack(masks),
        classes=scenes.CLASSES,
        templates=templates,
        targets=targets(scenes.CLASSES),
        balanced=True,
        other_names=tuple(OtherNames(names, targets(names)) for names in others),
    )
