import dataclasses

import numpy as np
import pytest

from audit.result.finding import Verdict
from principles.finding_parts import locations
from principles.unmodified_model.p105_computation_preserved import CHECK
from tests.principles import traces


@pytest.fixture
def reference(reference):
    """A grid that is not square: two rows of three patches."""
    return dataclasses.replace(reference, image_grid=(2, 3))


def judged_trace(judged, control=(), **changed):
    return judged(CHECK, trace=traces.evidence(traces.trace(**changed), control=control))


def test_the_models_own_blocks_pass(judged):
    found = judged_trace(judged)
    assert found.verdict is Verdict.PASS
    assert "Every block and attention equals the model's (6 compared)" in found.summary
    assert [(s.name, s.value) for s in found.statistics] == [("pairs with another computation", 0)]


def test_where_nothing_was_compared_nothing_is_said_of_attention(judged):
    found = judged_trace(judged, attention_calls=0)
    assert found.verdict is Verdict.PASS
    assert found.summary == "Every value that entered a part of the model is the model's own."


def test_a_place_is_named_with_what_happened_there_first():
    first, second = locations([("ours.py:3", "one"), ("ours.py:4", "two"), ("ours.py:3", "three")])
    assert (first.line, first.text) == (3, "one")
    assert (second.line, second.text) == (4, "two")


def test_an_explainer_that_runs_no_block_is_not_judged(judged):
    found = judged_trace(judged, passes=(), attention_calls=0)
    assert found.verdict is Verdict.NOT_APPLICABLE


def test_a_violation_names_tower_block_operation_heads_token_and_line(judged):
    found = judged_trace(judged, attention=(traces.attention(),))
    assert found.verdict is Verdict.VIOLATION
    assert (
        "image tower, block 3: softmax in the explainer's own code, heads 4 → 1, attention of the "
        "class token (most to the patch in row 2, column 2) off by 0.1" in found.summary
    )
    assert [(place.file, place.line) for place in found.locations] == [("ours.py", 30)]
    assert found.statistics[0].value == pytest.approx(0.1)


def test_what_is_said_of_a_line_is_of_the_pair_that_the_summary_speaks_of(judged):
    less = traces.trace(pair="pair-0", attention=(traces.attention(divergence=0.05),))
    more = traces.trace(pair="pair-1", attention=(traces.attention(divergence=0.1),))
    found = judged(CHECK, trace=traces.evidence(less, more))
    assert found.summary.endswith("off by 0.100.")
    assert [place.text.endswith("off by 0.100") for place in found.locations] == [True]


def test_divergence_is_charted_block_by_block_and_shown_on_the_patches(judged):
    found = judged_trace(judged, attention=(traces.attention(),))
    bars, maps = found.figures
    assert dict(zip(bars.labels, bars.values, strict=True)) == {
        "image 0": 0, "image 1": 0, "image 2": 0, "image 3": 0.1, "text 0": 0, "text 1": 0,
    }  # fmt: skip
    shapes = {np.asarray(m.values).shape for m in maps.maps}
    assert shapes == {(2, 3)}


def test_attention_without_the_class_token_is_shown_too(judged):
    row = np.full(6, 1 / 6)
    record = traces.attention(executed=row, model=row.copy())
    assert len(judged_trace(judged, attention=(record,)).figures) == 2


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"variants": 3, "executed_heads": 4}, Verdict.PASS),
        ({"variants": 2, "executed_heads": 4}, Verdict.VIOLATION),
        ({"variants": 9, "executed_heads": 1}, Verdict.VIOLATION),  # never a probe
        ({"variants": 9, "executed_heads": 4, "surrounds_model": False}, Verdict.VIOLATION),
        ({"variants": 9, "executed_heads": 4, "surrounds_model": None}, Verdict.PASS),
        ({"relevant": False}, Verdict.PASS),
    ],
)
def test_families_of_altered_attention_are_probes(judged, changed, verdict):
    found = judged_trace(judged, attention=(traces.attention(**changed),))
    assert found.verdict is verdict


def test_altered_values_are_named_by_where_they_enter(judged):
    found = judged_trace(judged, alterations=(traces.alteration(),))
    assert [(s.name, s.value) for s in found.statistics] == [("pairs with another computation", 1)]
    assert found.verdict is Verdict.VIOLATION
    assert "values that are not the model's enter block 2" in found.summary


def test_what_follows_from_altered_attention_is_not_said_twice(judged):
    found = judged_trace(
        judged, attention=(traces.attention(),), alterations=(traces.alteration(block=4),)
    )
    assert len(found.detail) == 1


def test_steps_of_a_path_around_the_models_values_are_probes(judged):
    path = traces.alteration(variants=8, surrounds_model=True)
    found = judged_trace(judged, alterations=(path,), clean_features=False)
    assert found.verdict is Verdict.PASS


def test_probes_around_other_values_are_none_whatever_clean_pass_stands_beside(judged):
    elsewhere = traces.alteration(variants=8, surrounds_model=False)
    found = judged_trace(judged, alterations=(elsewhere,), clean_features=True)
    assert found.verdict is Verdict.VIOLATION


@pytest.mark.parametrize("clean", [True, False])
def test_probes_of_another_shape_need_a_clean_pass(judged, clean):
    shorter = traces.alteration(variants=8, surrounds_model=None)
    found = judged_trace(judged, alterations=(shorter,), clean_features=clean)
    assert found.verdict is (Verdict.PASS if clean else Verdict.VIOLATION)


def test_a_faulty_control_silences_it(judged):
    faulty = (traces.attention(),)
    control = [traces.trace(attention=faulty)]
    assert judged_trace(judged, control, attention=faulty).verdict is Verdict.INCONCLUSIVE
