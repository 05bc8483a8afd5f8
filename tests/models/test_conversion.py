"""The same weights through two libraries are the same model: equal pictures, tokens and scores."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from audit.models.loading import load_model
from tests.converted_clip import write_as_transformers, write_with_timm_tower
from tests.oracles import oracle

oracle("transformers")
SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("name", ["bundled", "tiny"])
def test_a_clip_of_open_clip_scores_alike_in_transformers(name, tiny_model, tmp_path):
    ours = load_model(tiny_model if name == "tiny" else name)
    write_as_transformers(ours.module, tmp_path)
    theirs = load_model(f"hf:{tmp_path}")
    pixels = np.random.default_rng(0).integers(0, 255, (4, ours.image_size, ours.image_size, 3))
    pictures = [Image.fromarray(p.astype(np.uint8)) for p in pixels]
    one, other = (torch.stack([m.preprocess(p) for p in pictures]) for m in (ours, theirs))
    assert torch.allclose(one, other, atol=1e-6)
    texts = ["a red square", "A photo of a cat.", "blue  circle", "zebra-crossing & 42 geese"]
    length = [int(row.argmax()) + 1 for row in ours.encode(texts)]
    for row, converted, n in zip(ours.encode(texts), theirs.encode(texts), length, strict=True):
        assert torch.equal(row[:n], converted[:n])
    with torch.no_grad():
        score = ours.score(one, ours.encode(texts))
        assert torch.allclose(score, theirs.score(other, theirs.encode(texts)), atol=1e-5)
    assert theirs.logit_scale == pytest.approx(ours.logit_scale)
    assert (theirs.score_name, theirs.patch_grid) == (ours.score_name, ours.patch_grid)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared/data")
def test_a_photo_model_scores_alike_with_its_tower_held_by_timm(tmp_path):
    folder = SHARED / "photo_clip"
    ours = load_model(f"local-dir:{folder}")
    config = json.loads((folder / "open_clip_config.json").read_text())
    write_with_timm_tower(ours.module, config, tmp_path / "timm")
    theirs = load_model(f"local-dir:{tmp_path / 'timm'}")
    files = sorted((SHARED / "photos" / "images").iterdir())[:6]
    pictures = [Image.open(file).convert("RGB") for file in files]
    one, other = (torch.stack([m.preprocess(p) for p in pictures]) for m in (ours, theirs))
    assert torch.equal(one, other)
    targets = ours.encode(["a photo of a goldfish."] * len(pictures))
    with torch.no_grad():
        assert torch.allclose(ours.score(one, targets), theirs.score(other, targets), atol=1e-5)
    assert theirs.patch_grid == ours.patch_grid == (14, 14)
