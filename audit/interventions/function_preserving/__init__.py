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
from audit.interventions.function_preserving.layer_edits import (
    LAYER_EDITS,
    LayerEdit,
    layer_edits,
)
from audit.interventions.function_preserving.parts import EditNotApplicableError
from audit.interventions.function_preserving.proof import proof, proven, tolerance

__all__ = [
    "BLOCK_EDITS",
    "EDITS",
    "LAYER_EDITS",
    "Edit",
    "EditNotApplicableError",
    "LayerEdit",
    "applicable",
    "apply_edit",
    "default_edits",
    "every_edit",
    "layer_edits",
    "proof",
    "proven",
    "tolerance",
]
