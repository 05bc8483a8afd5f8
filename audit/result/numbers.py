"""Numbers of a result: intervals, and statistics beside what they were judged by."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A part of a result: it cannot be changed, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Interval(Frozen):
    """A confidence interval."""

    low: float | None
    high: float | None
    level: float = 0.95


class Statistic(Frozen):
    """A measured number beside the threshold that it was judged by.

    Where a zone of indifference decides, ``none`` is the value of no relation, refuted to pass, and
    ``clear`` the least that counts, refuted to accuse; ``threshold`` is the one of the two that the
    number has to refute.
    ``p`` is the two-sided p-value of the null hypothesis that ``p_test`` names; ``p_adjusted`` the
    same after Holm's procedure over the checks that were tested together. Verdicts go by intervals.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    threshold: float | None = None
    good_side: Literal["above", "below"] | None = None
    none: float | None = None
    clear: float | None = None
    n: int | None = None
    smallest_visible_effect: float | None = None
    unit: str = ""
    p: Annotated[float, Field(gt=0, le=1)] | None = None
    p_test: str = ""
    p_adjusted: Annotated[float, Field(gt=0, le=1)] | None = None
