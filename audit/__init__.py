"""Audit of explainers: does a saliency map explain the model that it claims to explain?

    import audit

    result = audit.check(my_explainer, model=my_module, data=(images, targets))

Importing this package imports nothing heavy; what a name needs is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audit.version import __version__ as __version__

if TYPE_CHECKING:
    from audit.api.asserting import assert_explains as assert_explains
    from audit.api.audit_result import Result as Result
    from audit.api.benchmark_calls import benchmark as benchmark
    from audit.api.benchmark_result import Benchmark as Benchmark
    from audit.api.calls import check as check
    from audit.api.calls import compare as compare
    from audit.api.calls import equivalence as equivalence
    from audit.explainers.contract import Explanation as Explanation
    from audit.models.model_under_audit import ModelUnderAudit as ModelUnderAudit
    from audit.models.python_object import model_of as model_of
    from audit.models.python_object import two_towers_of as two_towers_of

_PLACES = {
    "Benchmark": "audit.api.benchmark_result",
    "Explanation": "audit.explainers.contract",
    "ModelUnderAudit": "audit.models.model_under_audit",
    "Result": "audit.api.audit_result",
    "assert_explains": "audit.api.asserting",
    "benchmark": "audit.api.benchmark_calls",
    "check": "audit.api.calls",
    "compare": "audit.api.calls",
    "equivalence": "audit.api.calls",
    "model_of": "audit.models.python_object",
    "two_towers_of": "audit.models.python_object",
}
__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - names of the table


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'audit' has no attribute '{name}'; it has {', '.join(_PLACES)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
