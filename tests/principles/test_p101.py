from audit.result.finding import Severity, Verdict
from principles.unmodified_model.p101_weights_unchanged import CHECK
from tests.principles import traces


def test_equal_weights_pass(judged):
    found = judged(CHECK, trace=traces.evidence(traces.trace(), traces.trace("pair-1")))
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].value == 0
    assert found.statistics[0].n == 2


def test_one_tensor_of_one_pair_is_enough(judged):
    faulty = traces.trace("pair-7", changes=(traces.change(),))
    found = judged(CHECK, trace=traces.evidence(traces.trace(), faulty))
    assert found.verdict is Verdict.VIOLATION
    assert "visual.proj: values changed by up to 0.1 (during)" in found.summary
    assert found.witness.pair == "pair-7"
    assert [(place.file, place.line) for place in found.locations] == [("ours.py", 50)]


def test_structure_is_not_its_business(judged):
    other = traces.trace(changes=(traces.change("structure"),))
    assert judged(CHECK, trace=traces.evidence(other)).verdict is Verdict.PASS


def test_weighs_an_error():
    assert CHECK.severity is Severity.ERROR
