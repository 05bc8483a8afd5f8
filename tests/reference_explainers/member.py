"""A member of the panel: an explainer, and what the audit must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Explain = Callable[[nn.Module, Tensor, Tensor], Any]


@dataclass(frozen=True)
class Member:
    """An explainer of the panel.

    Attributes:
        explain: the explainer.
        caught_by: checks that must be violated; empty for an honest one.
        also: checks that may be violated too, as a consequence of the same fault.
    """

    explain: Explain
    caught_by: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The function's name, in words."""
        return self.explain.__name__.replace("_", " ")  # type: ignore[attr-defined]

    def agrees(self, violated: frozenset[str]) -> bool:
        """Whether exactly the right checks are violated."""
        return self.caught_by <= violated <= self.caught_by | self.also


class Table(list[Member]):
    """Collects the explainers of a file by decorators."""

    def honest(self, explain: Explain) -> Explain:
        """Register an honest explainer."""
        self.append(Member(explain))
        return explain

    def faulty(self, caught_by: str, also: str = "") -> Callable[[Explain], Explain]:
        """Register one with a planted fault."""

        def register(explain: Explain) -> Explain:
            self.append(Member(explain, frozenset(caught_by.split()), frozenset(also.split())))
            return explain

        return register
