"""Every row of the table of blocks, and convolutional models: faults are found, honesty is not.

Each model is traced with its gradient, and with that of a copy in which other heads, another
activation or other statistics are planted.
"""

import copy

import pytest
import torch

from audit.explainers.contract import Explainer
from audit.models.block_table import TABLE, why_not
from audit.models.tower_chain import chain_tower
from audit.models.transformer_block import Block
from audit.result.finding import Verdict
from audit.trace.tracing import trace_pair
from tests.block_models import drawn, timm_model
from tests.conformance import BUILD, CONVOLUTIONAL, conformance, faulty_copy, slope
from tests.gathered import TRACED
from tests.trace.judged import judged


def verdicts(explain, stage):
    explainer = Explainer("explainer", explain)
    trace, _ = trace_pair(
        explainer, copy.deepcopy(stage.model), stage.structure, stage.pair, stage.rounding
    )
    found = judged("explainer", (trace,), 1e-5)
    return {check: (found[check].verdict, found[check].summary) for check in TRACED}


def test_no_row_of_the_table_is_left_out():
    assert set.union(*(conformance(name).rows for name in BUILD)) == set(TABLE)


@pytest.mark.parametrize("name", BUILD)
def test_the_blocks_of_transformers_are_known(name):
    assert bool(conformance(name).rows) == (name not in CONVOLUTIONAL)


@pytest.mark.parametrize("name", BUILD)
def test_an_honest_gradient_passes(name):
    found = verdicts(slope, conformance(name))
    assert {verdict for verdict, _ in found.values()} == {Verdict.PASS}, found


@pytest.mark.parametrize("name", BUILD)
def test_a_planted_fault_is_found(name):
    plant = faulty_copy(name)
    found = verdicts(lambda m, x, t: slope(plant(m), x, t), conformance(name))
    violated = {check for check, (verdict, _) in found.items() if verdict is Verdict.VIOLATION}
    assert violated == {"P104", "P105"}, found


@pytest.mark.parametrize("name", ["torchvision ResNet", "open_clip ViT", "transformers ViT"])
def test_models_in_double_precision_are_held_to_its_rounding(name):
    """Kernels may agree in every bit there; honesty is no fault, and a fault is found."""
    stage = conformance(name, torch.float64)
    found = verdicts(slope, stage)
    assert {verdict for verdict, _ in found.values()} == {Verdict.PASS}, found
    plant = faulty_copy(name)
    found = verdicts(lambda m, x, t: slope(plant(m), x, t), stage)
    assert found["P105"][0] is Verdict.VIOLATION


def test_beit_is_refused_by_the_check_on_loading():
    """Its blocks have the names of a row, and a bias by position that the row knows nothing of."""
    options = {"use_rel_pos_bias": True, "use_abs_pos_emb": False}
    model = drawn(timm_model("beit_base_patch16_224", **options))
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    tower = chain_tower("image", model, lambda module, images: module(images), image)
    blocks = [block for block in tower.blocks if block.path.startswith("blocks.")]
    assert [why_not(block.module) for block in blocks] == [None, None]
    assert not any(isinstance(block, Block) for block in blocks)
