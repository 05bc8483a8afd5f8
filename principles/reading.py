"""What a check reads, by its signature: ``judge(trace, reference, limits: Limits) -> Finding``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from audit.evidence.kinds import Evidence
from audit.result.finding import Finding
from principles.limits import CheckLimits

ROLES, LIMITS = "roles", "limits"
KINDS = tuple(f.name for f in dataclasses.fields(Evidence))


@dataclass(frozen=True)
class Reading:
    """What a check reads.

    Attributes:
        names: of the parts of `Evidence` that it is called with, ``roles`` among them.
        needs: names of the kinds of evidence; where one is missing the check is an ERROR.
        on_demand: those of them that it can do without until its finding asks for them.
        limits: the class of its limits.
        has_limits: whether it is called with them.
    """

    names: tuple[str, ...]
    needs: frozenset[str]
    on_demand: frozenset[str]
    limits: type[CheckLimits] = CheckLimits
    has_limits: bool = False


def reading_of(judge: Callable[..., Finding], check: str) -> Reading:
    """Read off a signature what a check reads.

    A parameter's name is that of a kind of evidence, ``roles``, or ``limits``, whose annotation is
    the dataclass of the check's limits. Evidence with the default None is on demand.

    Args:
        judge: of the check.
        check: its id, for messages.

    Raises:
        TypeError: a parameter that is none of these, or limits that are not annotated as such.
    """
    parameters = inspect.signature(judge, eval_str=True).parameters
    unknown = [name for name in parameters if name not in {*KINDS, LIMITS}]
    if unknown:
        raise TypeError(
            f"{check}: expected judge's parameters to be among {', '.join((*KINDS, LIMITS))}; got "
            f"{', '.join(unknown)}; name each kind of evidence that the check reads"
        )
    names = tuple(name for name in parameters if name != LIMITS)
    kinds = [name for name in names if name != ROLES]
    optional = {name for name in kinds if parameters[name].default is None}
    limits: type[CheckLimits] = CheckLimits
    if LIMITS in parameters:
        limits = parameters[LIMITS].annotation
        if not (isinstance(limits, type) and issubclass(limits, CheckLimits)):
            raise TypeError(
                f"{check}: expected judge's parameter 'limits' to be annotated with a frozen "
                f"dataclass that derives from principles.limits.CheckLimits, got {limits!r}"
            )
    return Reading(names, frozenset(kinds), frozenset(optional), limits, LIMITS in parameters)
