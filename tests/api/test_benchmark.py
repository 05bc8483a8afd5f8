"""`audit.benchmark` on objects: results by name, tables, and the page."""

import pytest

import audit
from audit.config.settings import SettingsError
from tests.api.small_net import faulty, honest, net, tensors


def test_functions_are_compared_on_the_callers_module(tmp_path):
    found = audit.benchmark(
        [honest, faulty], model=net(), data=tensors(), select="P101,P105", samples=4,
        profile="quick", out=tmp_path / "out",
    )  # fmt: skip
    one, other = (f"tests.api.small_net:{name}" for name in ("honest", "faulty"))
    assert list(found.results) == [one, other]
    assert found.results[one].passed
    assert not found.passed
    assert found.exit_code == 1
    assert found.verdicts_frame().loc[other, "P105"] == "violation"
    assert found.failures == {}
    assert "small_net:faulty" in found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").is_file()
    assert (tmp_path / "out" / "benchmark.html").is_file()
    assert "P105" in found.to_latex()
    assert "P105" in str(found)


@pytest.mark.parametrize("wrong", ["grad-eclip", honest, []])
def test_what_is_no_list_of_explainers_is_refused(wrong):
    with pytest.raises(SettingsError, match="expected a list of explainers"):
        audit.benchmark(wrong)
