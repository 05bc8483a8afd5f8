"""A member of the panel: an explainer, and what the audit must say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

Explain = Callable[[nn.Module, Tensor, Tensor], Any]


@dataclass(frozen=True)
class Member:
    """An explainer of the panel.

    Every check of a trace that is not named must not be violated.

    Attributes:
        explain: the explainer.
        violates: checks that must be violated, all of them; empty for an honest one.
        either: checks that may be violated or not, as the trace cannot tell on every model; and
            why that is so.
    """

    explain: Explain
    violates: frozenset[str] = frozenset()
    either: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's name, in words."""
        return self.explain.__name__.replace("_", " ")  # type: ignore[attr-defined]

    @property
    def honest(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.violates

    def agrees(self, violated: frozenset[str]) -> bool:
        """Whether exactly the right checks are violated."""
        return self.violates <= violated <= self.violates | frozenset(self.either)


class Table(list[Member]):
    """Collects the explainers of a file by decorators."""

    def honest(self, explain: Explain) -> Explain:
        """Register an honest explainer."""
        self.append(Member(explain))
        return explain

    def faulty(
        self, violates: str, *, either: Mapping[str, str] | None = None
    ) -> Callable[[Explain], Explain]:
        """Register one with a planted fault."""

        def register(explain: Explain) -> Explain:
            self.append(Member(explain, frozenset(violates.split()), either or {}))
            return explain

        return register
