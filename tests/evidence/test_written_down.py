"""Each function-preserving edit moves what it must by algebra, and nothing else."""

import pytest

from audit.explainers.contract import Explainer
from audit.interventions.function_preserving import EDITS
from tests import map_panel, panel_stage
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.written_down import HONEST_MOVED, MOVED, ROUNDINGS_ONLY

INTEGRATED = [m for m in HONEST_MOVED if "integrated gradients" in m.name]
BY_ATTENTION = [m for m in HONEST_MOVED if m.edits == {"value-bias"}]


@pytest.fixture(scope="module")
def stage(device):
    return panel_stage.stage(0, device=device)


def _name(member):
    return member.name.replace(" ", "-")


@pytest.mark.parametrize("member", [*MOVED, *INTEGRATED[:2], *BY_ATTENTION[-1:]], ids=_name)
def test_map_moves_under_the_edits_that_algebra_names(member, stage):
    explainer = Explainer(member.name, member.explain)
    assert map_panel.moving_edits(explainer, stage) == member.edits


def test_map_of_nothing_but_roundings_is_not_judged(stage):
    (member,) = (m for m in HONEST if m.name == ROUNDINGS_ONLY)
    assert map_panel.moving_edits(Explainer(member.name, member.explain), stage) is None


@pytest.mark.parametrize("edit", sorted(set(EDITS) - {"query-key-rotation"}))
def test_every_edit_but_a_rotation_moves_a_map_that_no_other_edit_moves(edit):
    assert any(member.edits == {edit} for member in MOVED)
