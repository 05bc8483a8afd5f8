"""How much is known of the inside of architectures, as it was measured with random weights.

The file is written by ``python -m tests.architectures --write``; ``audit doctor`` asks the model.
"""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib import resources

FILE = "measured_insides.csv"
COLUMNS = ("architecture", "inside")


@cache
def measured_insides() -> dict[str, str]:
    """``full`` anatomy, known ``blocks``, or ``scores`` alone, by name as ``--model`` takes it."""
    text = resources.files("audit.models").joinpath(FILE).read_text(encoding="utf-8")
    return {row["architecture"]: row["inside"] for row in csv.DictReader(io.StringIO(text))}
