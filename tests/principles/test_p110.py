import pytest

from audit.result.finding import Severity, Verdict
from audit.trace.records import GradientRecord
from principles.unmodified_model.p110_gradient_preserved import CHECK
from tests.principles import traces


def gradient(*, own=True, relevant=True, error=0.0, rule=""):
    return GradientRecord("the pixels", own, error, rule, relevant, "ours.py:70")


def of(*gradients, **changed):
    return traces.evidence(traces.trace(gradients=gradients, **changed))


@pytest.mark.parametrize(
    ("gradients", "verdict"),
    [
        ((gradient(),), Verdict.PASS),
        ((gradient(), gradient(own=False, error=0.4)), Verdict.VIOLATION),
        ((gradient(), gradient(own=False, relevant=False)), Verdict.PASS),
        ((), Verdict.INCONCLUSIVE),  # one was taken, and could not be compared
    ],
)
def test_each_gradient_that_the_map_reads_is_the_models(judged, gradients, verdict):
    assert judged(CHECK, trace=of(*gradients)).verdict is verdict


def test_without_gradients_it_has_nothing_to_say(judged):
    assert judged(CHECK, trace=of(scalars=())).verdict is Verdict.NOT_APPLICABLE


def test_a_gradient_that_no_map_is_made_of_is_not_read(judged):
    """Score-CAM chooses its activation by a gradient, and weighs it by scores."""
    found = judged(CHECK, trace=of(map_of_gradient=False))
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert "made of no gradient" in found.summary


def test_the_gradient_of_another_score_is_the_business_of_p104(judged):
    other = traces.scalar(clean=False, reasons=("own code",))
    found = judged(CHECK, trace=of(scalars=(other,)))
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert "see P104" in found.summary


def test_the_largest_difference_and_its_rule_are_named(judged):
    small = gradient(own=False, error=0.1)
    large = gradient(own=False, error=0.4, rule="custom function Clamp (ours.py:5)")
    found = judged(CHECK, trace=of(small, large))
    assert "off by 40 %" in found.summary or "off by 40.0 %" in found.summary
    assert "custom function Clamp (ours.py:5)" in found.summary
    assert found.locations[0].file == "ours.py"
    assert found.witness.pair == "pair-0"


def test_weighs_a_warning():
    assert CHECK.severity is Severity.WARNING
