"""Interventions, explainers and metrics on a device that is not the CPU; no GPU is needed."""

import copy

import open_clip
import pytest
import torch

from audit.explainers.built_in import BUILT_IN
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.interventions.degrading import Rung, apply_rung
from audit.interventions.function_preserving.edits import (
    EDITS,
    MODEL_EDITS,
    Edit,
    apply_edit,
)
from audit.interventions.function_preserving.proof import proof
from audit.interventions.randomizing import cascade
from audit.metrics import agreement, localization, similarity
from audit.metrics.faithfulness import removal_curves
from audit.metrics.imputation import NoisyLinear
from audit.models.anatomy import anatomy_of
from audit.models.checkpoints import lay_into, state_sha256
from tests.audited import audited, parts
from tests.other_device import OTHER, OtherDeviceError, moved, other_device
from tests.reduced_settings import reduced

EXPLAINERS = (
    *map(reduced, BUILT_IN),
    "grad-eclip?weight=raw&heads=model",
    "inverted:gradient",
)
RUNGS = (
    Rung("weight-noise", 0.1, 0),
    Rung("random-blocks", 1.0, 0),
    Rung("interpolation", 0.5, 0),
    Rung("removed-heads", 0.5, 0),
)


@pytest.fixture(scope="module")
def clip():
    vision = {"layers": 2, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}
    text = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 4, "layers": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.CLIP(24, vision, text).eval()
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def there(clip):
    """The same model on the other device."""
    return moved(copy.deepcopy(clip))


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, 98, (3, 16), generator=generator)
    tokens[:, 15] = 99
    return torch.randn(3, 3, 32, 32, generator=generator), tokens


def devices_of(model):
    return {tensor.device for tensor in (*model.parameters(), *model.buffers())}


@pytest.mark.parametrize("spec", EXPLAINERS)
def test_maps_are_those_of_the_cpu(spec, clip, there, inputs):
    explainer = load_explainer(spec)
    expected = run_explainer(explainer, clip, *inputs).maps
    with other_device():
        maps = run_explainer(explainer, there, *(part.to(OTHER) for part in inputs)).maps
        assert maps.device == OTHER
        assert torch.allclose(maps.cpu(), expected, atol=1e-5)


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.family)
def test_rungs_are_those_of_the_cpu(rung, clip, there):
    expected = apply_rung(clip, parts(clip), rung)
    with other_device():
        rung_there = apply_rung(there, parts(there), rung)
        assert devices_of(rung_there) == {OTHER}
        assert state_sha256(rung_there) == state_sha256(expected) != state_sha256(clip)


@pytest.mark.parametrize("name", EDITS)
def test_edits_prove_themselves(name, there, inputs):
    edit = Edit(name, None if name in MODEL_EDITS else "image")
    with other_device():
        edited = apply_edit(audited(there), edit)
        assert devices_of(edited) == {OTHER}
        assert proof(audited(there), edited, *(part.to(OTHER) for part in inputs)) < 1e-5


def test_random_models_and_checkpoints(clip, there):
    expected = [state_sha256(stage.model) for stage in cascade(clip, parts(clip).image, 0)]
    state = {name: tensor + 1 for name, tensor in clip.state_dict().items()}
    with other_device():
        stages = list(cascade(there, parts(there).image, 0))
        assert [state_sha256(stage.model) for stage in stages] == expected
        assert devices_of(stages[-1].model) == {OTHER}
        lay_into(there, state, "state")
        assert devices_of(there) == {OTHER}
        assert torch.equal(there.visual.proj.cpu(), state["visual.proj"])


@pytest.mark.parametrize(
    "fill", ["mean", "blur", "noise", "black", NoisyLinear()], ids=lambda fill: str(fill)[:11]
)
def test_curves_are_those_of_the_cpu(fill, clip, there, inputs):
    generator = torch.Generator().manual_seed(2)
    maps, texts = torch.rand(3, 4, 4, generator=generator), torch.rand(3, 24, generator=generator)

    def gap(model, place):
        def score(pictures, pair):
            return (anatomy_of(model).image_features(pictures) * texts.to(place)[pair]).sum(-1)

        fixed = torch.Generator().manual_seed(3)
        curves = removal_curves(
            score, inputs[0].to(place), maps.to(place),
            fill=fill, fractions=(0, 0.3, 1.0), generator=fixed, batch_size=4,
        )  # fmt: skip
        return curves.gap

    expected = gap(clip, "cpu")
    with other_device():
        found = gap(there, OTHER)
        assert found.device == OTHER
        assert torch.allclose(found.cpu(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "measure",
    [
        localization.chance_corrected_average_precision,
        localization.energy_gain,
        localization.pointing_game,
        localization.relevance_rank_accuracy,
        similarity.spearman,
        similarity.relative_l2,
        similarity.top_overlap,
        lambda maps, masks: agreement.effect_captured(maps.flatten(1), masks.flatten(1)),
    ],
)
def test_measures_are_those_of_the_cpu(measure):
    generator = torch.Generator().manual_seed(4)
    maps = torch.rand(5, 6, 6, generator=generator)
    masks = (torch.rand(5, 6, 6, generator=generator) > 0.5).float()
    with other_device():
        found = measure(maps.to(OTHER), masks.to(OTHER))
        assert found.device == OTHER
        assert torch.allclose(found.cpu(), measure(maps, masks), equal_nan=True)


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: here + there,
        lambda here, there: torch.where(here > 0, there, there),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: here[there.long()],
        lambda here, there: there.uniform_(generator=torch.Generator()),
        lambda here, there: torch.rand(3, device=OTHER, generator=torch.Generator()),
        lambda here, there: there.add_(torch.zeros(3)),
    ],
)
def test_what_a_gpu_refuses_is_refused(mix):
    with other_device():
        here = torch.zeros(3)
        with pytest.raises(OtherDeviceError, match="expected"):
            mix(here, here.to(OTHER))


@pytest.mark.parametrize(
    "move",
    [
        lambda here, there: there + 1,
        lambda here, there: there * torch.tensor(2.0),
        lambda here, there: there[torch.tensor([0, 2])],
        lambda here, there: there[[0, 2]],
        lambda here, there: there + here.to(there.device),
        lambda here, there: there.new_tensor([1.0, 2.0, 3.0]) + there,
        lambda here, there: torch.zeros(3, device=there.device) + there,
        lambda here, there: there.copy_(here),
    ],
)
def test_what_a_gpu_does_is_done_with_the_same_values(move):
    values = torch.tensor([1.0, 2.0, 3.0])
    expected = move(values, values.clone())
    with other_device():
        found = move(values, values.clone().to(OTHER))
        assert found.device == OTHER
        assert torch.equal(found.cpu(), expected)
