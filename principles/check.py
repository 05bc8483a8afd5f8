"""What a check is: metadata as data, and one pure function from evidence to a finding."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

from audit.evidence.kinds import Evidence
from audit.result.schema import Finding, Severity

Threshold = float | int | str | bool
Thresholds = dict[str, Threshold]

_SECTIONS = ("What it does", "Why it matters", "What a pass does not show")


@dataclass(frozen=True)
class Check:
    """A check of one principle.

    Attributes:
        id: ``P`` and three digits; the first digit is the principle.
        name: a short name in words joined by hyphens.
        title: the question that it answers with yes when it passes.
        failure_title: what is wrong when it is violated.
        severity: what a violation weighs by default.
        needs: names of the fields of `Evidence` that `judge` reads; where one is missing the
            check is an ERROR, and `judge` is not called.
        on_demand: those of them that it can do without until its finding asks for them
            (`Finding.wants`); where evidence grows, they are gathered only then.
        thresholds: what the statistics are judged by; overridable by name.
        reference: where the idea comes from.
        judge: pure; reads only the evidence that it declares.
        documentation: the three sections of the module's docstring.
    """

    id: str
    name: str
    title: str
    failure_title: str
    severity: Severity
    needs: frozenset[str]
    thresholds: Thresholds
    reference: str
    judge: Callable[[Evidence, Thresholds], Finding]
    documentation: dict[str, str] = field(default_factory=dict)
    on_demand: frozenset[str] = frozenset()

    @property
    def principle(self) -> int:
        """1 or 2."""
        return int(self.id[1])


def documentation_of(module: ModuleType) -> dict[str, str]:
    """Split a check module's docstring into its three required sections.

    Raises:
        ValueError: where a section is missing or empty.
    """
    text = inspect.getdoc(module) or ""
    parts = re.split(rf"^({'|'.join(_SECTIONS)}):[ \t]*", text, flags=re.MULTILINE)
    found = {parts[i]: " ".join(parts[i + 1].split()) for i in range(1, len(parts) - 1, 2)}
    missing = [name for name in _SECTIONS if not found.get(name)]
    if missing:
        raise ValueError(
            f"{module.__name__}: expected the sections {', '.join(_SECTIONS)} in its docstring, "
            f"each as 'Name: text'; missing {', '.join(missing)}"
        )
    return found
