"""How many threads torch should use: small models are slower with more than one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from audit.models.model_under_audit import ModelUnderAudit

_SMALL = 50_000  # activations of one token row of a block; ViT-B/16 has 151,000


@contextmanager
def suited_threads(model: ModelUnderAudit) -> Iterator[None]:
    """One thread on the CPU while a small model is audited; the setting is put back.

    The work of one operator of a small model does not pay for waking a second thread, and on a
    machine that is busy otherwise it waits for it: an audit of the bundled model took 139 s with
    one thread and 466 s with two beside one other process.
    """
    before = torch.get_num_threads()
    if model.device.type == "cpu" and _is_small(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_small(model: ModelUnderAudit) -> bool:
    """Whether its blocks are known to be small."""
    anatomy = model.anatomy
    if anatomy is None:
        return False
    return anatomy.image.tokens * anatomy.image.width < _SMALL
