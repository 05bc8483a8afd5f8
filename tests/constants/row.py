"""A constant that decides a verdict, and a case on either side of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audit.evidence.kinds import Evidence
from audit.judging.judge_all import judge_all
from audit.result.finding import Finding
from principles.catalogue import all_checks


@dataclass(frozen=True)
class Row:
    """A constant, and what is decided on either side of it.

    Attributes:
        name: ``P106:least_share`` for a limit of a check; ``package:CONSTANT`` or, of a mapping,
            ``package:CONSTANT[key]``; ``literal: …`` for a number that has no name.
        value: of the constant.
        decide: what is decided where the quantity that the constant bounds is so large.
        below: a quantity just below the value, or on it where that still counts as below.
        says: what is decided there.
        above: a quantity just above the value, or on it.
        then: what is decided there.
    """

    name: str
    value: float
    decide: Callable[[Any], str]
    below: Any
    says: str
    above: Any
    then: str

    @property
    def constant(self) -> str:
        """The name without the key."""
        return self.name.partition("[")[0]


def judged(check_id: str, evidence: Evidence, **limits: float) -> Finding:
    """What one check finds, at its own limits but for those given."""
    (check,) = (c for c in all_checks() if c.id == check_id)
    overrides = {check_id: limits} if limits else {}
    (result,), _ = judge_all([check], evidence, [], severity={}, thresholds=overrides)
    return result.finding


def verdict(check_id: str, evidence: Evidence, **limits: float) -> str:
    """The verdict alone."""
    return judged(check_id, evidence, **limits).verdict.value
