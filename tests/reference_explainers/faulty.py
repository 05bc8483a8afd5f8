"""Every explainer of the panel with one planted fault."""

from __future__ import annotations

from tests.reference_explainers import (
    faulty_attention,
    faulty_blocks,
    faulty_company,
    faulty_dense,
    faulty_field,
    faulty_inputs,
    faulty_probes,
    faulty_scores,
    faulty_structure,
    faulty_text,
    faulty_token_maps,
    faulty_weights,
    in_threads,
)
from tests.reference_explainers.member import Member

FAULTY: tuple[Member, ...] = (
    *faulty_attention.TABLE,
    *faulty_blocks.TABLE,
    *faulty_weights.TABLE,
    *faulty_structure.TABLE,
    *faulty_inputs.TABLE,
    *faulty_probes.TABLE,
    *faulty_scores.TABLE,
    *faulty_text.TABLE,
    *faulty_token_maps.TABLE,
    *faulty_company.TABLE,
    *faulty_field.TABLE,
    *faulty_dense.TABLE,
    *in_threads.FAULTY,
)
