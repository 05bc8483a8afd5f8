"""A trial of the explainer before the heavy work: does it return a map per pair?"""

from __future__ import annotations

import traceback

import torch

from audit.evidence.context import Context
from audit.explainers.contract import (
    Explainer,
    ExplainerFaultError,
    ExplainerRaisedError,
    ExplainerReturnError,
    run_explainer,
)
from audit.explainers.raising_line import raising_line
from audit.models.pristine import pristine_copy
from audit.trace.integrity import Integrity


def try_explainer(context: Context) -> None:
    """Explain two pairs on a copy of the model, which is thrown away.

    What fails here would fail in every kind of evidence, so it is told once. Random draws of the
    trial are taken back.

    Raises:
        ExplainerReturnError: it returns something else than a map of finite numbers per pair.
        ExplainerRaisedError: it raises or exits; the message names the line of its code.
    """
    module = pristine_copy(context.pristine).requires_grad_()
    integrity = Integrity(module, context.pristine)
    pairs = torch.arange(min(2, len(context.pairs)))
    images, targets = context.pairs.batch(pairs, context.model.device, context.model.dtype)
    with torch.random.fork_rng(devices=[]):
        try:
            run_explainer(context.audited, module, images, targets)
        except ExplainerReturnError:
            raise
        except Exception as error:
            raise _told(context.audited, error) from error
        finally:
            integrity.restore_library()


def _told(explainer: Explainer, error: Exception) -> ExplainerRaisedError:
    cause = error.__cause__ if isinstance(error, ExplainerFaultError) else error
    what = "".join(traceback.format_exception_only(cause or error)).strip()
    line = raising_line(cause or error, explainer.source_file)
    return ExplainerRaisedError(
        f"explainer '{explainer.name}' raises on the first pairs, so nothing was audited: {what} "
        f"({line})"
    )
