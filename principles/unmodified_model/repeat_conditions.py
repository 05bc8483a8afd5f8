"""Under which conditions a pair's map changed, and what that says of the explainer: P109."""

from __future__ import annotations

ITSELF = "beside itself"


def again(condition: str) -> bool:
    """Whether it is the same call once more."""
    return condition.startswith("again")


def dependence(conditions: list[str]) -> str:
    """What a map depends on that changes under some conditions."""
    if any(again(name) for name in conditions):
        return "differs from run to run, which the explainer does not declare"
    if ITSELF in conditions:
        return (
            "depends on its place in the batch, as random numbers drawn for a whole batch do that "
            "are not declared"
        )
    return "depends on what else is in the batch"
