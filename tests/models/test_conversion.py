"""The same weights through two libraries are the same model: equal pictures, tokens and scores."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.models.loading import load_model
from tests.converted_clip import write_as_transformers
from tests.oracles import oracle

oracle("transformers")


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
