"""Checks of plug-ins written for the first edition: ``judge(evidence, thresholds)``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from audit.evidence.kinds import Evidence, Roles
from audit.result.finding import Finding
from principles.limits import CheckLimits, ErrorRate, Limit
from principles.reading import KINDS, LIMITS, ROLES

_RATE = "error_rate"


def is_first_edition(judge: Callable[..., Finding]) -> bool:
    """Whether it takes all evidence at once, then thresholds by name."""
    signature = inspect.signature(judge)
    if {*signature.parameters} & {*KINDS, LIMITS}:
        return False
    try:
        signature.bind("evidence", "thresholds")
    except TypeError:
        return False
    return True


class FirstEdition:
    """Such a check's function with the signature of this edition."""

    def __init__(
        self,
        judge: Callable[[Evidence, dict[str, Limit]], Finding],
        needs: frozenset[str],
        on_demand: frozenset[str],
        thresholds: Mapping[str, Limit],
    ) -> None:
        fields = [
            (name, ErrorRate if name == _RATE else type(value), value)
            for name, value in thresholds.items()
        ]
        limits = dataclasses.make_dataclass("Limits", fields, bases=(CheckLimits,), frozen=True)
        taken = [(ROLES, Roles), (LIMITS, limits), *((kind, Any) for kind in sorted(needs))]
        self._judge = judge
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    annotation=annotation,
                    default=None if name in on_demand else inspect.Parameter.empty,
                )
                for name, annotation in taken
            ]
        )

    def __call__(self, *, roles: Roles, limits: CheckLimits, **kinds: Any) -> Finding:
        """Judge the evidence that the check declares, and see no other."""
        return self._judge(Evidence(roles=roles, **kinds), limits.values())
