"""Every honest explainer of the panel."""

from __future__ import annotations

from tests.reference_explainers import (
    honest_attention,
    honest_field,
    honest_gradients,
    honest_knock_outs,
    honest_probes,
    honest_scores,
    honest_text,
    honest_text_slices,
    honest_token_maps,
    in_threads,
)
from tests.reference_explainers.member import Member

HONEST: tuple[Member, ...] = (
    *honest_gradients.TABLE,
    *honest_attention.TABLE,
    *honest_probes.TABLE,
    *honest_knock_outs.TABLE,
    *honest_scores.TABLE,
    *honest_text.TABLE,
    *honest_text_slices.TABLE,
    *honest_token_maps.TABLE,
    *honest_field.TABLE,
    *in_threads.HONEST,
)
