import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import EditedMaps, Reparametrization
from audit.result.finding import Severity, Verdict
from principles.unmodified_model.p106_invariant_to_reparametrization import CHECK

N = 10
MAPS = np.random.default_rng(0).random((N, 3, 3))


def entry(name="query-key-rotation", change=1e-6, correlation=1.0, **other):
    values = {
        "edit": name,
        "place": "image tower, all blocks",
        "block": None,
        "score_change": 1e-7,
        "rank_correlation": np.full(N, correlation),
        "relative_l2": np.broadcast_to(change, (N,)).astype(float),
        "top_overlap": np.ones(N),
        "maps": MAPS,
        "control": np.full(4, 1e-6),
    }
    return EditedMaps(**(values | other))


def evidence(*entries, noise=1e-6):
    return Reparametrization(
        pairs=np.arange(N),
        maps=MAPS,
        noise=np.broadcast_to(noise, (N,)).astype(float),
        control_noise=np.full(4, 1e-6),
        tolerance=1e-5,
        dtype="float32",
        entries=entries,
    )


def test_a_map_that_stays_passes(judged):
    found = judged(CHECK, reparametrization=evidence(entry(), entry("key-bias")))
    assert found.verdict is Verdict.PASS
    assert found.statistics[0].value == pytest.approx(1e-6)
    assert found.figures[0].rows[0][-1] == "stayed"


def test_a_map_that_moves_a_little_is_a_warning(judged):
    found = judged(CHECK, reparametrization=evidence(entry(), entry("key-bias", 0.05, 0.95)))
    assert found.verdict is Verdict.VIOLATION
    assert found.severity is Severity.WARNING
    assert "key-bias" in found.summary
    assert "query-key-rotation" not in found.summary
    assert [f.kind for f in found.figures] == ["table", "pair"]
    assert found.witness.command == (
        "audit check --explainer ours --only P106 --pair pair-0 "
        "--out audit-report/see-again/P106 --no-history"
    )


@pytest.mark.parametrize(
    ("name", "correlation", "severity"),
    [
        ("query-key-mixing", 0.89, Severity.ERROR),
        ("query-key-mixing", 0.91, Severity.WARNING),
        ("value-bias", 0.2, Severity.WARNING),
        ("key-bias", 0.2, Severity.WARNING),
    ],
)
def test_severity_follows_rank_correlation_of_edits_with_a_size(
    judged, name, correlation, severity
):
    found = judged(CHECK, reparametrization=evidence(entry(name, 0.3, correlation)))
    assert found.severity is severity


def test_the_severity_of_the_check_itself_is_a_warning():
    assert CHECK.severity is Severity.WARNING


@pytest.mark.parametrize(("change", "verdict"), [(9e-4, "pass"), (1.1e-3, "violation")])
def test_the_boundary_of_movement(judged, change, verdict):
    assert judged(CHECK, reparametrization=evidence(entry(change=change))).verdict == verdict


@pytest.mark.parametrize(("change", "verdict"), [(0.019, "pass"), (0.021, "violation")])
def test_movement_is_judged_against_ten_times_the_noise(judged, change, verdict):
    found = evidence(entry(change=change), noise=2e-3)
    assert judged(CHECK, reparametrization=found).verdict == verdict


@pytest.mark.parametrize(("pairs", "verdict"), [(1, "pass"), (2, "violation")])
def test_a_fifth_of_the_pairs_must_move(judged, pairs, verdict):
    change = np.where(np.arange(N) < pairs, 0.5, 0.0)
    assert judged(CHECK, reparametrization=evidence(entry(change=change))).verdict == verdict


def test_a_block_that_moves_the_map_alone_is_named(judged):
    whole = entry(change=0.3)
    alone = dataclasses.replace(whole, place="image tower, block 3", block=3)
    found = judged(CHECK, reparametrization=evidence(whole, alone))
    assert "It does so in image tower, block 3 alone." in found.summary


def test_an_unproven_edit_is_an_error_never_a_pass(judged):
    found = judged(CHECK, reparametrization=evidence(entry(), entry(score_change=1e-3)))
    assert found.verdict is Verdict.ERROR
    unknown = judged(CHECK, reparametrization=evidence(entry(), entry(score_change=float("nan"))))
    assert unknown.verdict is Verdict.ERROR


def test_a_model_without_edits_is_told(judged):
    for noise in (1e-6, 0.2):
        found = judged(CHECK, reparametrization=evidence(noise=noise))
        assert found.verdict is Verdict.NOT_APPLICABLE
        assert "No edit of this model is known" in found.summary


def test_scaling_has_no_size_and_is_never_grave(judged):
    for name, severity in (("batch-norm-scaling", "warning"), ("batch-norm-folding", "error")):
        moved = dataclasses.replace(entry(name, 0.5), rank_correlation=np.full(10, 0.3))
        found = judged(CHECK, reparametrization=evidence(moved))
        assert found.verdict is Verdict.VIOLATION
        assert found.severity.value == severity


def test_an_unproven_edit_accuses_nobody(judged):
    found = judged(CHECK, reparametrization=evidence(entry(change=0.5, score_change=1e-3)))
    assert found.verdict is Verdict.ERROR


def test_an_unproven_edit_does_not_excuse_another(judged):
    two = evidence(entry(score_change=1e-3), entry("key-bias", 0.5))
    assert judged(CHECK, reparametrization=two).verdict is Verdict.VIOLATION


def test_an_edit_that_moves_the_input_gradient_accuses_nobody(judged):
    found = judged(CHECK, reparametrization=evidence(entry(change=0.5, control=np.full(4, 0.1))))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "input gradient" in found.summary


def test_maps_that_rounding_moves_cannot_be_judged(judged):
    found = judged(CHECK, reparametrization=evidence(entry(change=5.0), noise=0.2))
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_few_unsteady_pairs_are_left_out(judged):
    noise = np.where(np.arange(N) < 4, 0.2, 1e-6)
    change = np.where(np.arange(N) < 4, 5.0, 1e-6)
    assert judged(CHECK, reparametrization=evidence(entry(change=change), noise=noise)).verdict == (
        "pass"
    )


def test_a_map_that_becomes_constant_counts_as_uncorrelated(judged):
    found = judged(CHECK, reparametrization=evidence(entry(change=1.0, correlation=np.nan)))
    assert found.severity is Severity.ERROR


def test_model_free_maps_are_not_judged(judged):
    found = judged(CHECK, declared={"model_free": True}, reparametrization=evidence(entry()))
    assert found.verdict is Verdict.NOT_APPLICABLE


def test_thresholds_are_data(judged):
    found = evidence(entry(change=0.05, correlation=0.95))
    assert judged(CHECK, {"relative_change": 0.06}, reparametrization=found).verdict == "pass"
    strict = judged(CHECK, {"rank_correlation": 0.99}, reparametrization=found)
    assert strict.severity is Severity.ERROR
