"""Every member of the panel on one small model; ``python -m tests.panel`` runs all models."""

import pytest

from tests import panel
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST


def _name(member):
    return member.name.replace(" ", "-")


@pytest.mark.parametrize("member", HONEST, ids=_name)
def test_honest_explainer_is_not_accused(member, small_stage):
    assert panel.violated(member, small_stage) == {}


@pytest.mark.parametrize("member", HONEST[::5], ids=_name)
def test_honest_explainer_is_repeatable(member, small_stage):
    assert panel.depends_on_company(member, small_stage) == {}


@pytest.mark.parametrize("member", FAULTY, ids=_name)
def test_planted_fault_is_caught_by_its_checks(member, small_stage):
    found = panel.violated(member, small_stage) | panel.depends_on_company(member, small_stage)
    assert member.agrees(frozenset(found)), found


def test_panel_is_as_large_as_promised():
    assert len(HONEST) >= 12
    assert len(FAULTY) >= 30
    names = [m.name for m in (*HONEST, *FAULTY)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("check", [*panel.CHECKS, "P109"])
def test_each_check_has_a_fault_that_it_alone_must_catch(check):
    assert any(m.caught_by == {check} for m in FAULTY)
