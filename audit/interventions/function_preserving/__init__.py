"""Edits that change the weights of a model and keep its function."""

from audit.interventions.function_preserving.edits import (
    BLOCK_EDITS,
    EDITS,
    Edit,
    applicable,
    apply_edit,
    default_edits,
    every_edit,
)
from audit.interventions.function_preserving.parts import EditNotApplicableError
from audit.interventions.function_preserving.proof import proof, tolerance

__all__ = [
    "BLOCK_EDITS",
    "EDITS",
    "Edit",
    "EditNotApplicableError",
    "applicable",
    "apply_edit",
    "default_edits",
    "every_edit",
    "proof",
    "tolerance",
]
