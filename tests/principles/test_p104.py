import dataclasses

import pytest

from audit.result.finding import Verdict
from principles.unmodified_model.p104_score_preserved import CHECK
from tests.principles import traces

FOREIGN = {
    "clean": False,
    "reasons": ("attention of block 3 of the image tower differs (ours.py:30)",),
}


def judged_trace(judged, control=(), **changed):
    return judged(CHECK, trace=traces.evidence(traces.trace(**changed), control=control))


def test_the_models_score_passes(judged):
    assert judged_trace(judged).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.3 + 0.5e-6, Verdict.PASS), (0.3 + 2e-6, Verdict.VIOLATION), (0.1, Verdict.VIOLATION)],
)
def test_a_value_is_the_models_within_the_tolerance_of_the_null_control(judged, value, verdict):
    found = judged_trace(judged, scalars=(traces.scalar(value, **FOREIGN),))
    assert found.verdict is verdict


def test_where_numbers_are_coarse_a_value_alone_acquits_nobody(judged):
    """A cosine that is known to 0.5 would make nearly every score the model's."""

    def found(**changed):
        trace = traces.evidence(traces.trace(**changed))
        return judged(CHECK, trace=dataclasses.replace(trace, tolerance=0.5))

    hidden = found(scalars=(traces.scalar(0.1, **FOREIGN),))
    assert hidden.verdict is Verdict.INCONCLUSIVE
    assert "The model's score is known to 0.500 only" in hidden.summary
    assert found(scalars=(traces.scalar(0.3, **FOREIGN),)).verdict is Verdict.INCONCLUSIVE
    assert found(scalars=(traces.scalar(0.9, **FOREIGN),)).verdict is Verdict.VIOLATION
    assert found().verdict is Verdict.PASS


def test_a_violation_says_both_scores_the_cause_and_the_line(judged):
    found = judged_trace(judged, scalars=(traces.scalar(0.1, **FOREIGN),))
    assert (
        "0.100 where the model gives 0.300; attention of block 3 of the image tower differs"
        in found.summary
    )
    assert found.statistics[0].value == pytest.approx(0.2)
    assert [(place.file, place.line) for place in found.locations] == [("ours.py", 20)]
    assert found.witness.pair == "pair-0"


def test_scores_that_are_near_are_told_apart(judged):
    found = judged_trace(judged, scalars=(traces.scalar(0.300049, **FOREIGN),))
    assert "0.30005 where the model gives 0.30000;" in found.summary


def test_a_function_of_clean_features_passes_whatever_its_value(judged):
    probability = traces.scalar(0.9, error=0.6)
    assert judged_trace(judged, scalars=(probability,)).verdict is Verdict.PASS


def test_the_score_of_another_text_is_not_the_pairs(judged):
    other = traces.scalar(0.9, of_pair=False)
    found = judged_trace(judged, scalars=(other,))
    assert found.verdict is Verdict.VIOLATION
    assert "another target" in found.summary


def test_a_map_of_no_score_is_not_judged(judged):
    found = judged_trace(judged, scalars=(), map_of_score=False)
    assert found.verdict is Verdict.NOT_APPLICABLE


def test_without_a_gradient_the_passes_behind_the_map_are_judged(judged):
    clean = judged_trace(judged, scalars=())
    assert clean.verdict is Verdict.PASS
    altered = judged_trace(judged, scalars=(), attention=(traces.attention(),))
    assert altered.verdict is Verdict.VIOLATION
    aside = judged_trace(judged, scalars=(), attention=(traces.attention(relevant=False),))
    assert aside.verdict is Verdict.PASS


def test_the_score_of_probes_beside_a_clean_pass_passes(judged):
    probes = traces.attention(variants=9, executed_heads=4, surrounds_model=None)
    scalar = traces.scalar(0.1, **FOREIGN)
    assert judged_trace(judged, scalars=(scalar,), attention=(probes,)).verdict is Verdict.PASS
    alone = judged_trace(judged, scalars=(scalar,), attention=(probes,), clean_features=False)
    assert alone.verdict is Verdict.VIOLATION


def test_a_faulty_control_silences_it(judged):
    faulty = (traces.scalar(0.1, **FOREIGN),)
    control = [traces.trace(scalars=faulty)]
    assert judged_trace(judged, control, scalars=faulty).verdict is Verdict.INCONCLUSIVE
