"""Traces of a faultless explanation, and records to put into them."""

import numpy as np

from audit.evidence.kinds import TraceEvidence
from audit.trace.records import (
    AlterationRecord,
    AttentionRecord,
    ChangeRecord,
    PairTrace,
    PassRecord,
    ScalarRecord,
)

TOLERANCE = 1e-6


def _of(kind, defaults, changed):
    return kind(**(defaults | changed))


def entered(tower="image", **changed):
    """The pair's own picture or text at a first layer."""
    shape = (1, 3, 32, 32) if tower == "image" else (1, 16)
    defaults = {
        "tower": tower, "shape": shape, "expected_shape": shape, "rows": 1, "given_rows": 1,
        "distinct_rows": 1, "smallest_difference": 0.0, "surrounds_given": False,
        "relevant": True, "place": "ours.py:10",
    }  # fmt: skip
    return _of(PassRecord, defaults, changed)


def scalar(value=0.3, **changed):
    """A gradient of the model's own score."""
    defaults = {
        "values": (value,), "source": "gradient", "clean": True, "of_pair": True, "reasons": (),
        "params": (), "of_model": True, "relevant": True, "nearest": "cosine",
        "error": abs(value - 0.3), "place": "ours.py:20",
    }  # fmt: skip
    return _of(ScalarRecord, defaults, changed)


def attention(**changed):
    """A call with one head in the place of four, over 2 by 3 patches."""
    model = np.full(7, 1 / 7)
    executed = model + 0.1 * np.array([0, 0, 0, 0, 0, 1, -1])
    defaults = {
        "tower": "image", "block": 3, "operation": "softmax", "executed_heads": 1,
        "model_heads": 4, "divergence": 0.1, "executed": executed, "model": model,
        "inside_model": False, "variants": 1, "surrounds_model": True, "relevant": True,
        "place": "ours.py:30",
    }  # fmt: skip
    return _of(AttentionRecord, defaults, changed)


def alteration(**changed):
    """Values that are not the model's, at the entrance of a block."""
    defaults = {
        "tower": "image", "block": 2, "after": (), "params": (), "surrogate": False,
        "variants": 1, "surrounds_model": False, "relevant": True, "place": "ours.py:40",
    }  # fmt: skip
    return _of(AlterationRecord, defaults, changed)


def change(kind="weights", **changed):
    """Something of the model that was not as before."""
    defaults = {
        "kind": kind, "path": "visual.proj", "what": "values changed by up to 0.1",
        "when": "during", "altering": True, "place": "ours.py:50",
    }  # fmt: skip
    return _of(ChangeRecord, defaults, changed)


def trace(pair="pair-0", **changed):
    """One explanation that runs the model as it is and differentiates its score."""
    defaults = {
        "pair": pair, "model_score": 0.3, "passes": (entered(), entered("text")),
        "scalars": (scalar(),), "attention": (), "attention_calls": 6, "alterations": (),
        "foreign": (), "uses": (), "changes": (), "copies": (), "clean_features": True,
        "map_known": True, "map_reasons": (), "map_of_score": True,
    }  # fmt: skip
    return _of(PairTrace, defaults, changed)


def evidence(*traces, control=()):
    """Traces of the audited explainer and of its control."""
    return TraceEvidence(traces, tuple(control), TOLERANCE, "float32", {})
