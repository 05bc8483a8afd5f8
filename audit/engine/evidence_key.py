"""What evidence depends on, as one hash: evidence of another key is another's."""

from __future__ import annotations

import hashlib

import torch

from audit.config.settings import Settings
from audit.evidence.context import Context
from audit.evidence.plan import evidence_format
from audit.version import __version__


def audit_key(settings: Settings, context: Context, threads: int) -> str:
    """The `evidence_key` of all that an audit gathers.

    Args:
        settings: of the audit.
        context: likewise.
        threads: that each process measures with, which may alter the last digits.
    """
    of_explainer = (context.others, context.roles, context.limits, threads)
    return evidence_key(settings, context, settings.profile, *of_explainer)


def evidence_key(settings: Settings, context: Context, *more: object) -> str:
    """A hash of program, model, data and checkpoints, and of what else decides.

    Args:
        settings: of the audit.
        context: that the evidence is gathered in.
        more: values whose ``repr`` is the same in every process.
    """
    parts = (
        __version__,
        evidence_format(),
        torch.__version__,
        settings.device,
        settings.dtype,
        settings.seed,
        [one.name for one in context.quality],
        context.model.state_sha256(),
        context.model.architecture_sha256(),
        context.pairs.sha256,
        [(checkpoint.name, checkpoint.sha256) for checkpoint in context.checkpoints],
        *more,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()
