"""Checks of plug-ins: documented by themselves or by their module, as the built-in ones are."""

from importlib.metadata import EntryPoint

import pytest

from principles import catalogue, check_names

SECTIONS = """\
What it does: Nothing.

Why it matters: It does not.

How to fix it: There is nothing to fix.

What a pass does not show: Anything.
"""
CODE = """
from audit.result import Finding, Severity, Verdict
from principles.check import Check


def judge(evidence, thresholds):
    return Finding(verdict=Verdict.PASS, summary="")


CHECK = Check(
    id="P191", name="nothing", title="?", failure_title="!", severity=Severity.ERROR,
    needs=frozenset({"reference"}), thresholds={}, reference="none", judge=judge,
)
"""


@pytest.fixture
def checks_with(tmp_path, monkeypatch):
    """All checks, with that of a plug-in whose module has the given docstring."""

    def load(name, docstring):
        (tmp_path / f"{name}.py").write_text(f'"""{docstring}"""\n{CODE}')
        monkeypatch.syspath_prepend(tmp_path)
        point = EntryPoint("P191", f"{name}:CHECK", "audit.checks")
        monkeypatch.setattr(
            check_names, "entry_points", lambda group: [point][: group == point.group]
        )
        catalogue.all_checks.cache_clear()
        return {check.id: check for check in catalogue.all_checks()}

    yield load
    catalogue.all_checks.cache_clear()


def test_a_plugin_is_documented_by_its_module(checks_with):
    check = checks_with("documented_plugin", f"P191.\n\n{SECTIONS}")["P191"]
    assert check.documentation["What it does"] == "Nothing."
    assert check.documentation["What a pass does not show"] == "Anything."


def test_a_plugin_without_documentation_is_refused(checks_with):
    with pytest.raises(ValueError, match="undocumented_plugin: expected the sections"):
        checks_with("undocumented_plugin", "P191.")
