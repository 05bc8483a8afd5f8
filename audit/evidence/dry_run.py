"""A trial of the explainer before the heavy work: does it return a map per pair?"""

from __future__ import annotations

import torch

from audit.evidence.context import Context
from audit.explainers.contract import ExplainerReturnError, run_explainer
from audit.models.pristine import pristine_copy
from audit.trace.integrity import Integrity


def try_explainer(context: Context) -> None:
    """Explain two pairs on a copy of the model, which is thrown away.

    What the explainer raises, or NaN that it returns, is left to the evidence: it belongs in the
    report with its traceback. Random draws of the trial are taken back.

    Raises:
        ExplainerReturnError: it returns something else than a map per pair.
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
        except Exception:  # noqa: BLE001, S110 - the evidence will tell
            pass
        finally:
            integrity.restore_library()
