"""What a check is: metadata as data, and one pure function from evidence to a finding."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal

from audit.evidence.kinds import Evidence
from audit.result.finding import Finding, Severity
from principles.first_edition import FirstEdition, is_first_edition
from principles.limits import CheckLimits, Limit
from principles.reading import Reading, reading_of

_SECTIONS = ("What it does", "Why it matters", "How to fix it", "What a pass does not show")


@dataclass(frozen=True)
class Check:
    """A check of one principle.

    Attributes:
        id: ``P`` and three digits; a first digit 1 or 2 is the principle.
        name: a short name in words joined by hyphens.
        title: the question that it answers with yes when it passes.
        failure_title: what is wrong when it is violated.
        severity: what a violation weighs by default.
        reference: where the idea comes from.
        judge: pure, ``judge(trace, reference, limits: Limits) -> Finding``; its parameters name
            the evidence that it reads, and it sees no other. See `principles.reading`.
        documentation: the four sections of the module's docstring.
        needs: names of the kinds of evidence that it reads; where one is missing the check is an
            ERROR, and `judge` is not called. Read off the signature, as are the next two: they are
            given only with the first edition's ``judge(evidence, thresholds)``.
        on_demand: those of them that it can do without until its finding asks for them
            (`Finding.wants`); where evidence grows, they are gathered only then.
        thresholds: its limits by name, at their defaults; a user may set them.
        principle: 1 or 2; an id that starts with another digit needs it.
    """

    id: str
    name: str
    title: str
    failure_title: str
    severity: Severity
    reference: str
    judge: Callable[..., Finding]
    documentation: dict[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    on_demand: frozenset[str] = frozenset()
    thresholds: dict[str, Limit] = field(default_factory=dict)
    principle: Literal[1, 2] = 0  # type: ignore[assignment]  # by the id
    reading: Reading = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read off the signature what the check reads.

        Raises:
            ValueError: an id that names no principle.
            TypeError: a signature that is not that of a check.
        """
        if not re.fullmatch(r"P\d\d\d", self.id):
            raise ValueError(f"expected a check's id as in P104 or P201, got '{self.id}'")
        principle = self.principle or int(self.id[1])
        if principle not in {1, 2}:
            raise ValueError(f"{self.id}: expected principle=1 or principle=2, found neither")
        judge = self.judge
        if is_first_edition(judge):
            judge = FirstEdition(judge, self.needs, self.on_demand, self.thresholds)
        reading = reading_of(judge, self.id)
        derived = {
            "principle": principle,
            "judge": judge,
            "reading": reading,
            "needs": reading.needs,
            "on_demand": reading.on_demand,
            "thresholds": reading.limits().values(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def limits(self, values: Mapping[str, Limit] | None = None) -> CheckLimits:
        """Its limits, by default but for some values; those it does not know are left out.

        Raises:
            principles.limits.LimitError: a value that means nothing.
        """
        return self.reading.limits.of(values or {})

    def finding(self, evidence: Evidence, limits: CheckLimits | None = None) -> Finding:
        """Judge the parts of the evidence that the check names.

        Args:
            evidence: all of it.
            limits: of this check; its defaults where there are none.

        Raises:
            ValueError: evidence is missing that the check cannot do without.
        """
        given = {name: getattr(evidence, name) for name in self.reading.names}
        missing = sorted(n for n, v in given.items() if v is None and n not in self.on_demand)
        if missing:
            raise ValueError(f"{self.id}: expected evidence of kind {', '.join(missing)}, got none")
        own = {"limits": limits or self.limits()} if self.reading.has_limits else {}
        return self.judge(**given, **own)


def documentation_of(module: ModuleType) -> dict[str, str]:
    """Split a check module's docstring into its four required sections.

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
