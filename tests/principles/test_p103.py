import pytest

from audit.result.finding import Verdict
from principles.unmodified_model.p103_input_unchanged import CHECK
from tests.principles import traces


def judged_passes(judged, *passes, **control):
    return judged(CHECK, trace=traces.evidence(traces.trace(passes=passes), **control))


def test_the_given_input_passes(judged):
    found = judged_passes(judged, traces.entered(), traces.entered("text"))
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].value == 0
    assert found.summary == "The given pixels and token ids reached the first layers."


def test_no_token_ids_are_spoken_of_where_a_class_is_the_target(judged):
    found = judged_passes(judged, traces.entered())
    assert found.summary == "The given pixels reached the first layers."


def test_no_pass_at_all_is_not_applicable(judged):
    assert judged_passes(judged).verdict is Verdict.NOT_APPLICABLE


def test_another_resolution_is_named(judged):
    other = traces.entered(given_rows=0, shape=(1, 3, 48, 40), smallest_difference=float("inf"))
    found = judged_passes(judged, other, traces.entered("text"))
    assert found.verdict is Verdict.VIOLATION
    assert "pictures of 48x40 pixels" in found.summary
    assert "given 32x32" in found.summary


def test_other_pixels_and_another_text_are_told_apart(judged):
    pixels = traces.entered(given_rows=0, smallest_difference=0.25)
    found = judged_passes(judged, pixels, traces.entered("text"))
    assert found.verdict is Verdict.VIOLATION
    assert "mean absolute difference 0.25" in found.summary
    text = judged_passes(judged, traces.entered(), traces.entered("text", given_rows=0))
    assert text.verdict is Verdict.VIOLATION
    assert "token ids" in text.summary


def test_a_family_around_the_picture_is_probes(judged):
    family = {"given_rows": 0, "rows": 50, "distinct_rows": 50}
    around = traces.entered(surrounds_given=True, **family)
    assert judged_passes(judged, around, traces.entered("text")).verdict is Verdict.PASS
    elsewhere = traces.entered(surrounds_given=False, **family)
    found = judged_passes(judged, elsewhere, traces.entered("text"))
    assert found.verdict is Verdict.VIOLATION
    assert "in 50 pictures" in found.summary


@pytest.mark.parametrize(
    ("distinct", "around", "verdict"),
    [
        (1, True, Verdict.VIOLATION),  # one altered picture stands in for the given one
        (2, True, Verdict.PASS),  # two draws of noise
        (2, False, Verdict.INCONCLUSIVE),  # too few to tell
        (3, False, Verdict.VIOLATION),
    ],
)
def test_two_pictures_are_probes_or_too_few_to_tell(judged, distinct, around, verdict):
    rows = {"given_rows": 0, "rows": distinct, "distinct_rows": distinct}
    entered = traces.entered(surrounds_given=around, **rows)
    assert judged_passes(judged, entered, traces.entered("text")).verdict is verdict


def test_passes_that_the_map_does_not_depend_on_do_not_count(judged):
    aside = traces.entered(given_rows=0, relevant=False)
    found = judged_passes(judged, traces.entered(), aside, traces.entered("text"))
    assert found.verdict is Verdict.PASS


def test_a_faulty_control_silences_it(judged):
    bad = traces.entered(given_rows=0)
    control = traces.trace(passes=(bad,))
    found = judged_passes(judged, bad, traces.entered("text"), control=[control])
    assert found.verdict is Verdict.INCONCLUSIVE
