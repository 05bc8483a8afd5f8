"""The most memory that this process held."""

from __future__ import annotations

import resource
import sys

import torch


def peak_memory() -> int:
    """Bytes that this process, or the GPU where it used one, held at most."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
