"""The pytest plugin: `assert_explains` as a fixture, and whole audits behind a marker.

pytest loads this file at every start, so it imports nothing but pytest; torch and the audit come
when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from audit.api.audit_result import Result

_MARKER = (
    "audit: a whole audit of an explainer, which takes minutes; left out unless pytest is called "
    "with --audit"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of whole audits."""
    group = parser.getgroup("audit", "audit of explainers")
    group.addoption("--audit", action="store_true", help="Run the tests that are marked 'audit'.")
    group.addoption(
        "--audit-profile",
        choices=["quick", "default", "full"],
        help="How much evidence the fixture audit_passes gathers, unless a test says so.",
    )
    group.addoption(
        "--audit-out",
        metavar="FOLDER",
        help="Where the fixture audit_passes writes report.html and result.json, a folder a test.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Leave whole audits out unless they are asked for."""
    if config.getoption("--audit"):
        return
    reason = pytest.mark.skip(reason="a whole audit: call pytest with --audit")
    for item in items:
        if item.get_closest_marker("audit"):
            item.add_marker(reason)


@pytest.fixture
def assert_explains() -> Callable[..., Result]:
    """`audit.assert_explains`: ``assert_explains(explainer, model, images, targets)``."""
    from audit.api.asserting import assert_explains as function

    return function


@pytest.fixture
def audit_passes(request: pytest.FixtureRequest) -> Callable[..., Result]:
    """`audit.check`, which fails the test with the findings where the audit does not pass.

    ``--audit-profile`` and ``--audit-out`` hold where the test does not give them.
    """

    def passes(explainer: Any, **given: Any) -> Result:
        from audit.api.calls import check
        from audit.reports.plain_text import render_failures

        profile = request.config.getoption("--audit-profile")
        folder = request.config.getoption("--audit-out")
        usual = {"profile": profile} if profile else {}
        if folder:
            usual["out"] = str(Path(folder) / request.node.name.translate(_NO_FOLDERS))
        result = check(explainer, **{**usual, **given})
        if not result.passed:
            pytest.fail(render_failures(result), pytrace=False)
        return result

    return passes


_NO_FOLDERS = str.maketrans("/\\:", "___")
