"""A trial of the explainer before the heavy work: does it return a map per pair?"""

from __future__ import annotations

import traceback
from collections.abc import Iterable

import torch

from audit.evidence.context import Context
from audit.explainers.contract import Explainer
from audit.explainers.errors import ExplainerFaultError, ExplainerRaisedError, ExplainerReturnError
from audit.explainers.raising_line import raising_line
from audit.models.pristine import pristine_copy
from audit.trace.frames import shown_path
from audit.trace.integrity import Change
from audit.trace.memory import Memory
from audit.trace.records import ChangeRecord
from audit.trace.tracing import first_call


def try_explainer(context: Context) -> tuple[tuple[ChangeRecord, ...], Memory]:
    """Explain two pairs on a copy of the model, which is thrown away.

    What fails here would fail in every kind of evidence, so it is told once. Random draws of the
    trial are taken back.

    Returns:
        What of the copy was not as before when the explainer had returned: an explainer that
        alters the model at its first call may leave all later copies alone. And what it keeps of
        what it computed, for the traces of later calls.

    Raises:
        ExplainerReturnError: it returns something else than a map of finite numbers per pair.
        ExplainerRaisedError: it raises or exits; the message names the line of its code.
    """
    module = pristine_copy(context.pristine).requires_grad_()
    pairs = torch.arange(min(2, len(context.pairs)))
    images, targets = context.pairs.batch(pairs, context.model.device, context.model.dtype)
    known = context.watched()
    with torch.random.fork_rng(devices=[]):
        try:
            found, memory = first_call(
                context.audited, module, known.structure, images, targets, known.rounding
            )
        except ExplainerReturnError:
            raise
        except Exception as error:
            raise _told(context.audited, error) from error
    return records_of(found, "after its first call", context.audited), memory


def records_of(
    changes: Iterable[Change], when: str, explainer: Explainer
) -> tuple[ChangeRecord, ...]:
    """Changes as a trace keeps them, at the explainer's own first line."""
    place = ""
    if explainer.source_file and explainer.source_line:
        place = f"{shown_path(explainer.source_file)}:{explainer.source_line}"
    return tuple(
        ChangeRecord(
            c.kind, c.path, c.what, when if c.when == "after" else c.when, c.altering, place
        )
        for c in changes
    )


def _told(explainer: Explainer, error: Exception) -> ExplainerRaisedError:
    cause = error.__cause__ if isinstance(error, ExplainerFaultError) else error
    what = "".join(traceback.format_exception_only(cause or error)).strip()
    line = raising_line(cause or error, explainer.source_file)
    return ExplainerRaisedError(
        f"explainer '{explainer.name}' raises on the first pairs, so nothing was audited: {what} "
        f"({line})"
    )
