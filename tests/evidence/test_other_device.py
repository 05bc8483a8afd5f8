"""Every kind of evidence, gathered on a device that is not the CPU, is that of the CPU."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence import ladder, reparametrization
from audit.evidence.context import Sizes
from audit.evidence.plan import GATHERERS
from audit.explainers.registry import load_explainer
from audit.interventions.degrading import UNMODIFIED, Rung
from audit.interventions.function_preserving.edits import Edit
from tests.gathered import gathered
from tests.other_device import OTHER, OtherDeviceError, moved, other_device

SIZES = Sizes(
    traced=1, probed=2, ladder_seeds=1, reparametrized=2, randomized=2, randomizations=1,
    affected=2, repeated=2,
)  # fmt: skip
EDITS = (Edit("projection-rotation", None),)
KINDS = set(GATHERERS) - {"randomization"}  # whose models are in tests/test_other_device.py


@pytest.fixture
def context(context_for, tiny_model, pairs, monkeypatch):
    """A small context with masks, few rungs and few edits: each operator is slow here."""
    module = copy.deepcopy(tiny_model.module)
    for tower in (module.visual, module):
        tower.transformer.resblocks = tower.transformer.resblocks[:1]
    model = dataclasses.replace(tiny_model, module=module)
    masks = torch.zeros(12, 32, 32, dtype=torch.bool)
    masks[:, :16, 8:] = True
    monkeypatch.setattr(ladder, "knows_something", lambda _: True)
    monkeypatch.setattr(ladder, "spread_strengths", lambda *_: ())
    rungs = (UNMODIFIED, Rung("weight-noise", 0.2, 0))
    monkeypatch.setattr(ladder, "default_ladder", lambda *_: rungs)
    monkeypatch.setattr(reparametrization, "default_edits", lambda *_: EDITS)
    data = dataclasses.replace(pairs, masks=masks)
    return lambda explain: context_for(explain, model=model, data=data, sizes=SIZES)


def on_other_device(context):
    model = dataclasses.replace(context.model, module=moved(context.model.module), device=OTHER)
    return dataclasses.replace(context, model=model, pristine=moved(context.pristine))


def numbers(value, path=""):
    """All arrays and plain values of evidence by their place in it."""
    if dataclasses.is_dataclass(value):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {path: value}
    parts = [numbers(part, f"{path}.{name}") for name, part in value.items()]
    return {place: each for part in parts for place, each in part.items()}


def measured(evidence):
    """The numbers without lines of source: this device's own functions stand between them."""
    lines = (".uses.", ".sources.", ".place", ".cause", ".reasons.", ".map_reasons.")
    return {k: v for k, v in numbers(evidence).items() if not any(part in k for part in lines)}


def test_evidence_is_that_of_the_cpu(context):
    expected = measured(gathered(context("grad-eclip"), *KINDS))
    with other_device():
        found = measured(gathered(on_other_device(context("grad-eclip")), *KINDS))
    assert found.keys() == expected.keys()
    for place, value in expected.items():
        if isinstance(value, (float, np.ndarray)):
            assert np.allclose(found[place], value, atol=1e-4, equal_nan=True), place
        else:
            assert found[place] == value, place


def test_an_explainer_that_mixes_devices_is_caught(context):
    gradient = load_explainer("gradient")

    def mixing(model, images, tokens):
        maps = gradient.explain(model, images, tokens)
        maps = getattr(maps, "maps", maps)
        return maps + torch.zeros(maps.shape[-2:])

    with other_device(), pytest.raises(OtherDeviceError, match="same device"):
        gathered(on_other_device(context(mixing)), "explanations")
