"""Are two explainers the same one? A numerical question, asked on every pair."""

from __future__ import annotations

from dataclasses import dataclass

from audit.config.settings import Settings
from audit.engine.assembly import EQUIVALENT
from audit.engine.context_building import load_audited_model, load_pairs
from audit.evidence.context import all_maps
from audit.evidence.explanations import largest_difference, mean_rank_correlation
from audit.explainers.registry import load_explainer


@dataclass(frozen=True)
class Equivalence:
    """Whether the maps agree, and the sentence that says so."""

    equivalent: bool
    sentence: str


def compare_explainers(settings: Settings, other: str) -> Equivalence:
    """Compare the maps of ``settings.explainer`` and another explainer.

    Raises:
        ValueError: unknown names or settings (subclasses say which).
    """
    first, second = load_explainer(settings.explainer, settings.options), load_explainer(other)
    model = load_audited_model(settings)
    pairs = load_pairs(settings, model)
    one, two = (all_maps(e, model, pairs).double() for e in (first, second))
    gap, ranks = largest_difference(one, two), mean_rank_correlation(one, two)
    tolerance = EQUIVALENT[settings.dtype]
    same = gap <= tolerance
    verb = "are equivalent" if same else "differ"
    sentence = (
        f"{settings.explainer} and {other} {verb}: over {len(pairs)} pairs the maps differ by at "
        f"most {gap:.2e} of their range (tolerance {tolerance:g} in {settings.dtype}), mean rank "
        f"correlation {ranks:.4f}."
    )
    return Equivalence(same, sentence)
