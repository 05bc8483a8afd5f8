import pytest

from audit.result.finding import Severity, Verdict
from principles.unmodified_model.p102_structure_unchanged import CHECK
from tests.principles import traces


@pytest.mark.parametrize(
    ("altering", "when", "verdict"),
    [
        (True, "during", Verdict.VIOLATION),
        (True, "after", Verdict.VIOLATION),
        (False, "after", Verdict.VIOLATION),  # left behind
        (False, "during", Verdict.PASS),  # a flag that was put back alters nothing
    ],
)
def test_what_alters_and_what_is_left_behind(judged, altering, when, verdict):
    change = traces.change("structure", what="heads 4 → 1", altering=altering, when=when)
    found = judged(CHECK, trace=traces.evidence(traces.trace(changes=(change,))))
    assert found.verdict is verdict
    if verdict is Verdict.VIOLATION:
        assert f"visual.proj: heads 4 → 1 ({when})" in found.summary
        assert found.witness.pair == "pair-0"


def test_weights_are_not_its_business(judged):
    other = traces.trace(changes=(traces.change("weights"),))
    assert judged(CHECK, trace=traces.evidence(other)).verdict is Verdict.PASS


def test_weighs_an_error():
    assert CHECK.severity is Severity.ERROR
