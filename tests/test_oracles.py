"""A comparison with another library is skipped on a desk at most."""

import re
from pathlib import Path

import pytest

from tests.oracles import oracle

LIBRARIES = (
    "captum",
    "pytorch_grad_cam",
    "quantus",
    "sklearn",
    "statsmodels",
    "torchmetrics",
    "transformers",
)
TESTS = Path(__file__).parent


@pytest.mark.parametrize("unset", [None, "", "false"])
def test_missing_oracle_is_skipped_outside_ci(unset, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    if unset is not None:
        monkeypatch.setenv("CI", unset)
    with pytest.raises(pytest.skip.Exception, match=r"no\.such\.oracle is not installed"):
        oracle("no.such.oracle")


def test_missing_oracle_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r'pip install -e "\.\[test\]"'):
        oracle("no.such.oracle")


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_oracle_is_there_in_ci(name):
    assert oracle(name).__name__ == name


def test_no_test_skips_an_oracle_in_its_own_way():
    skips = re.compile(rf'(importorskip|find_spec)\(\s*"({"|".join(LIBRARIES)})')
    files = [f for f in TESTS.rglob("*.py") if skips.search(f.read_text())]
    assert not files, "expected tests to call oracle(…) of tests/oracles.py"
