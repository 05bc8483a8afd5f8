"""One model through two libraries is the same model: explainers get the same verdicts of it."""

import json
from pathlib import Path

import pytest

from audit.models.loading import load_model
from tests.converted_clip import write_as_transformers, write_with_timm_tower
from tests.gathered import TRACED, traced_verdicts
from tests.matrix import GOLDEN
from tests.oracles import oracle

oracle("transformers")
SHARED = Path(__file__).parents[3] / "shared" / "data"
EXPLAINERS = ("gradient", "raw-attention", "grad-attention", "grad-eclip")
HONEST = dict.fromkeys(TRACED, "pass")
WANTED = {
    **dict.fromkeys(("gradient", "grad-attention"), HONEST),
    "raw-attention": HONEST | {"P104": "not-applicable"},
    "grad-eclip": HONEST | {"P104": "violation", "P105": "violation"},
}


def test_the_bundled_model_as_transformers_holds_it(tmp_path):
    write_as_transformers(load_model("bundled").module, tmp_path)
    found = traced_verdicts(load_model(f"hf:{tmp_path}"), "bundled", EXPLAINERS)
    known = json.loads(GOLDEN.read_text())
    assert found == {name: {check: known[name][check] for check in TRACED} for name in EXPLAINERS}
    assert found == WANTED


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared/data")
@pytest.mark.parametrize("library", ["open_clip", "timm"])
def test_a_photo_model_whose_image_tower_a_library_holds(library, tmp_path):
    folder = SHARED / "photo_clip"
    model = load_model(f"local-dir:{folder}")
    if library == "timm":
        config = json.loads((folder / "open_clip_config.json").read_text())
        write_with_timm_tower(model.module, config, tmp_path)
        model = load_model(f"local-dir:{tmp_path}")
    found = traced_verdicts(model, str(SHARED / "photos" / "manifest.csv"), EXPLAINERS)
    assert found == WANTED
