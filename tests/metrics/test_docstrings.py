"""Every measure says what a reader needs before comparing two numbers of it."""

import pytest

from audit.metrics import (
    agreement,
    arcc,
    complexity,
    faithfulness,
    infidelity,
    localization,
    overlap,
    protocols,
    rationale,
    sensitivity,
    similarity,
    synergy,
)

MEASURES = (
    localization.average_precision,
    localization.chance_corrected_average_precision,
    localization.energy_in_mask,
    localization.energy_gain,
    localization.pointing_game,
    localization.relevance_rank_accuracy,
    localization.dual_polarity_precision,
    overlap.mask_iou,
    overlap.weighted_f_measure,
    faithfulness.deletion_auc,
    faithfulness.insertion_auc,
    faithfulness.area_between_curves,
    faithfulness.insertion_minus_deletion,
    protocols.road,
    arcc.arcc,
    complexity.sparseness,
    sensitivity.max_sensitivity,
    rationale.rationale,
    infidelity.infidelity,
    infidelity.faithfulness_correlation,
    agreement.effect_captured,
    similarity.pearson,
    similarity.spearman,
    similarity.relative_l2,
    similarity.top_overlap,
    synergy.synergy,
)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.__name__)
def test_docstring_states_range_direction_chance_pitfalls_and_source(measure):
    text = " ".join(measure.__doc__.split())
    missing = [word for word in ("Range:", "Chance:", "Pitfalls:", "Source:") if word not in text]
    if not any(word in text for word in ("igher is better", "ower is better", "more alike")):
        missing.append("which direction is better")
    assert not missing, f"{measure.__name__} does not say: {missing}"
