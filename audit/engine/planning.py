"""What ``audit plan`` does: have measured on a part of an audit what the whole will take."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from audit.config.settings import Settings, SettingsError
from audit.engine import supervision
from audit.engine.early_look import expect_known
from audit.engine.progress import Progress, silent
from audit.engine.supervision import Limits
from audit.engine.worker_process import Job

STARTING = "starting"
"""What comes before the evidence: libraries, model, data, and a first call of the explainer."""
JOB = "audit.engine.planned_costs:planned"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Planned(_Frozen):
    """What a part of an audit will take.

    Attributes:
        what: a kind of evidence, or `STARTING`.
        forwards: passes of pictures through the image tower, by their multiplications.
        backwards: multiplications of backward passes, in those of such a forward pass.
        seconds: with the processes of the plan.
        bytes: on disk.
        on_demand: whether it is measured only where a check asks for it.
        failure: why nothing could be measured, or nothing.
    """

    what: str
    forwards: float = 0.0
    backwards: float = 0.0
    seconds: float = 0.0
    bytes: int = 0
    on_demand: bool = False
    failure: str = ""


class CostPlan(_Frozen):
    """What an audit will take.

    Attributes:
        explainer: under audit.
        model: under audit.
        data: its name.
        pairs: at most.
        workers: processes that measure side by side.
        parts: in their order.
        needed: all that is not on demand.
        most: all.
        memory: bytes of all processes together at most.
        seconds: that the plan itself took.
        notes: what it cannot see.
    """

    explainer: str
    model: str
    data: str
    pairs: int
    workers: int
    parts: tuple[Planned, ...]
    needed: Planned
    most: Planned
    memory: int
    seconds: float
    notes: tuple[str, ...]


def plan_audit(settings: Settings, progress: Progress = silent) -> CostPlan:
    """Measure what an audit will take, in a process of its own; nothing is kept.

    Args:
        settings: of the audit.
        progress: told how far the work is.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
        ReportedError: what the worker process raised.
        WorkerEndedError: it ended early.
    """
    if settings.from_evidence:
        raise SettingsError(
            "from_evidence: expected an audit that measures something, found saved evidence; leave "
            "--from-evidence out"
        )
    if not settings.explainer:
        raise SettingsError(
            "no explainer given; use --explainer NAME ('audit list explainers' shows all)"
        )
    expect_known(settings)
    job = Job(JOB, {"settings": settings.model_dump(mode="json")})
    limits = Limits(settings.timeout, settings.memory_bytes)
    return CostPlan.model_validate(supervision.supervised(job, limits, progress))
