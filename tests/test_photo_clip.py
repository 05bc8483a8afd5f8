"""A real photo model, where the folder ``shared`` lies beside the repository."""

from pathlib import Path

import numpy as np
import pytest

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence.explanations import grid_masks
from audit.evidence.reference import class_scores
from audit.explainers.registry import load_explainer
from audit.interventions.degrading import Rung, apply_rung
from audit.metrics.localization import chance_corrected_average_precision
from audit.models.loading import load_model

SHARED = Path(__file__).parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared/data"),
]


LADDER = ("grad-attention", "grad-eclip", "edges", "center-prior", "random")
STRENGTHS = (0.0, 0.2, 0.3, 0.5)


@pytest.fixture(scope="module")
def rungs(device):
    """Accuracy, and localization by explainer, at each strength of weight noise."""
    name = f"local-dir:{SHARED / 'photo_clip'}"
    model = load_model(name, device=device)
    manifest = str(SHARED / "photos" / "manifest.csv")
    settings = Settings(explainer="grad-eclip", model=name, data=manifest, samples=96)
    context = build_context(settings, model, load_explainer("grad-eclip"), silent)
    small = context.pairs.masks.float().mean((1, 2)) < 0.5
    context.pairs = context.pairs.select(small.nonzero()[:, 0].tolist())
    present, masks = context.pairs.present.numpy(), grid_masks(context)
    explainers = {name: load_explainer(name) for name in LADDER}
    found = []
    for strength in STRENGTHS:
        rung = Rung("weight-noise", strength, 0)
        module = apply_rung(context.pristine, context.parts(), rung).eval()
        best = class_scores(context, module).argmax(1).numpy()
        row = {"accuracy": present[range(len(best)), best].mean()}
        for name, explainer in explainers.items():
            maps = context.maps(explainer, module)
            row[name] = float(chance_corrected_average_precision(maps, masks).mean())
        found.append(row)
    return {key: np.array([row[key] for row in found]) for key in found[0]}


def test_the_ladder_tells_explainers_that_read_the_model_from_those_that_do_not(rungs):
    assert rungs["accuracy"][0] > 0.35
    assert (np.diff(rungs["accuracy"]) < 0).all()
    assert rungs["accuracy"][-1] < 0.05
    for honest in ("grad-attention", "grad-eclip"):
        assert rungs[honest][0] > 0.15
        assert rungs[honest][0] > rungs[honest][2] > rungs[honest][3]
        assert rungs[honest][3] < 0.08
    for fixed in ("edges", "center-prior", "random"):
        assert np.ptp(rungs[fixed]) == 0


def test_a_center_prior_beats_honest_methods_on_centered_photographs(rungs):
    assert rungs["center-prior"][0] > rungs["grad-attention"][0] > rungs["random"][0] + 0.1
    assert rungs["center-prior"][0] > rungs["grad-eclip"][0]
