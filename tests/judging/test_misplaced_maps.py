"""Maps in the wrong place fail the gate of a default audit, though they are made of the model."""

import pytest

import audit
from audit.result.finding import Severity, Verdict

FILE = "tests/reference_explainers/misplaced.py"


@pytest.mark.first
@pytest.mark.parametrize("fault", ["transposed", "flipped", "shifted", "class_token_not_dropped"])
def test_misplaced_maps_fail_the_gate_at_the_default_budget(fault, tmp_path):
    result = audit.check(f"{FILE}:{fault}", select=["P206"], out=tmp_path)
    found = result.findings["P206"]
    assert (found.verdict, found.severity) == (Verdict.VIOLATION, Severity.ERROR)
    assert not result.passed
