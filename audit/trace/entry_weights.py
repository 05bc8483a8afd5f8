"""Where values enter towers and blocks, told by the weights that they meet."""

from __future__ import annotations

from audit.models.anatomy import Anatomy, Tower
from audit.trace.model_copies import joined


def norm_paths(anatomy: Anatomy) -> dict[str, tuple[Tower, int]]:
    """Weights of the norms that blocks start with, and of the final norms."""
    paths = {}
    for tower in (anatomy.image, anatomy.text):
        for block in tower.blocks:
            paths[f"{block.path}.ln_1.weight"] = (tower, block.index)
        last = "ln_post" if tower.name == "image" else "ln_final"
        paths[joined(tower.path, f"{last}.weight")] = (tower, len(tower.blocks))
    return paths


def entrance_paths(anatomy: Anatomy) -> dict[str, Tower]:
    """Weights of the first layers."""
    image, text = anatomy.image, anatomy.text
    return {
        f"{image.path}.conv1.weight": image,
        joined(text.path, "token_embedding.weight"): text,
    }
