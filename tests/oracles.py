"""Libraries that results are compared with: skipped where absent, but never in CI."""

from __future__ import annotations

import importlib
import os
import warnings

import pytest


def oracle(name):
    """The module of that name; where it is missing the test is skipped, and in CI it fails.

    What a library warns of while it is imported is its own affair and no error of ours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(f"{name} is not installed ({error})")
        pytest.fail(
            f"expected the oracle {name} to be importable in CI, got {error}; "
            'install the extra: pip install -e ".[test]"',
            pytrace=False,
        )
