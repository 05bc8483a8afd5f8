"""A measure whose halves disagree carries no verdict in any check of principle 2."""

import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import Ladder, RungInfo
from audit.result.finding import Verdict
from audit.result.wording import number
from principles.performance_alignment import p201_tracks_ladder as p201
from principles.performance_alignment import p202_tracks_samples as p202
from principles.performance_alignment import p203_tracks_classes as p203
from principles.performance_alignment import p205_text_specific as p205
from principles.performance_alignment import p206_beats_model_free as p206
from principles.performance_alignment.estimates import measures
from principles.performance_alignment.reliability import FILLS, Reliability, over_explainers
from tests.principles.alignment import made, with_absent

N = 120
CORRECT = np.arange(N) % 3 != 0
NAMES = ("audited", "faithful", "random", "edges")
NOISE = dict(zip(NAMES, np.random.default_rng(1).normal(size=(4, N)), strict=True))
LABELS = np.arange(N) // 2 % 12


def gate(finding):
    return next(s for s in finding.statistics if s.name.startswith("reliability"))


def table(levels, noise=0.1):
    return {name: levels[name] + noise * NOISE[name] for name in NAMES}


APART = {"audited": 0.8, "faithful": 0.7, "random": 0.0, "edges": 0.3}


@pytest.mark.parametrize("shift", [0.3, -0.5])
def test_of_mean_quality(shift):
    """P206 would pass, or be violated; a measure of pure noise lets it do neither."""
    clear = {**APART, "audited": 0.3 + shift}
    settled = p206.CHECK.finding(made(table(clear)))
    assert settled.verdict is not Verdict.INCONCLUSIVE
    assert gate(settled).value > 0.95
    noisy = p206.CHECK.finding(made(table(clear, noise=30.0)))
    assert noisy.verdict is Verdict.INCONCLUSIVE
    assert "two halves of the pictures do not agree enough" in noisy.summary
    assert "0.800 is the least" in noisy.summary
    assert gate(noisy).value < 0.8 == gate(noisy).threshold


def test_a_bar_that_is_not_reached_silences_what_would_be_said_else():
    """The same evidence, two bars: the verdict turns on the gate alone."""
    evidence = made(table(APART, noise=0.3))
    low = p206.CHECK.finding(evidence, p206.Limits(reliability=0.5))
    value = gate(low).value
    high = p206.CHECK.finding(evidence, p206.Limits(reliability=value + 1e-6))
    assert low.verdict is Verdict.PASS
    assert high.verdict is Verdict.INCONCLUSIVE
    assert f"reliability {number(value)}" in high.summary


def test_of_samples_and_classes_and_texts():
    quality = {n: CORRECT * (n in NAMES[:2]) + NOISE[n] for n in NAMES}
    known = np.isin(LABELS, range(6))
    follows = {n: known * (n in NAMES[:2]) + 0.1 * NOISE[n] for n in NAMES}
    under_absent = dict.fromkeys(NAMES, 0.0) | {"edges": 0.3}
    cases = [
        (p202, made(quality, CORRECT)),
        (p203, made(follows, known & CORRECT, labels=LABELS)),
        (p205, with_absent(made(table(APART, noise=0.5)), table(under_absent))),
    ]
    for check, evidence in cases:
        found = check.CHECK.finding(evidence, check.Limits(reliability=0.0))
        value = gate(found).value
        assert 0 < value < 1, check
        high = check.CHECK.finding(evidence, check.Limits(reliability=value + 1e-6))
        assert high.verdict is Verdict.INCONCLUSIVE, check
        assert f"reliability {number(value)}" in high.summary, check


def ladder(noise):
    rungs, rng = 13, np.random.default_rng(2)
    share = np.linspace(1.0, 0.1, rungs)
    infos = [RungInfo("unmodified", "unmodified", 0.0, 0)]
    infos += [RungInfo(f"noise {i}", "weight-noise", i / 10, 0) for i in range(1, rungs)]
    rows = {
        n: (n in NAMES[:2]) * share[:, None] + noise * rng.normal(size=(rungs, N)) for n in NAMES
    }
    rows |= {n: np.full((rungs, N), 0.4) for n in NAMES[2:]}
    return Ladder(
        tuple(infos), 0.0, rng.random((rungs, N // 2)) < share[:, None], rows,
    )  # fmt: skip


def test_of_rungs():
    evidence = made(table(APART))
    for noise, silent in ((0.1, False), (4.0, True)):
        found = p201.CHECK.finding(
            dataclasses.replace(evidence, ladder=ladder(noise)), p201.Limits(clear=0.01)
        )
        assert (gate(found).value < 0.8) is silent
        assert ("do not agree enough about the order of the rungs" in found.summary) is silent
        assert (found.verdict is Verdict.INCONCLUSIVE) is silent


def by_two_fills(evidence, fill):
    both = dataclasses.replace(evidence.faithfulness, other_gaps=fill, other_span=np.ones(N))
    return dataclasses.replace(evidence, faithfulness=both)


def test_fills_that_disagree_about_the_explainers_silence_faithfulness():
    turned = {n: -v for n, v in table(APART).items()}
    for fill, verdict in ((table(APART), Verdict.PASS), (turned, Verdict.INCONCLUSIVE)):
        evidence = by_two_fills(made(None, CORRECT, faithfulness=table(APART)), fill)
        found = p206.CHECK.finding(evidence)
        assert found.verdict is verdict
    assert "each with its own fill, do not agree enough" in found.summary


def test_fills_that_disagree_about_the_pairs_silence_p202():
    good = {n: CORRECT * (n in NAMES[:2]) + 0.2 * NOISE[n] for n in NAMES}
    evidence = made(None, CORRECT, faithfulness=good)
    mixed = {n: v[::-1].copy() for n, v in good.items()}
    for fill, verdict in ((good, Verdict.PASS), (mixed, Verdict.INCONCLUSIVE)):
        found = p202.CHECK.finding(by_two_fills(evidence, fill))
        assert found.verdict is verdict
    assert "two fills do not agree enough about the order of the pairs" in found.summary


def test_what_cannot_be_told_is_said():
    evidence = made({name: v[:6] for name, v in table(APART).items()})  # three pictures
    (measure,) = measures(evidence.explanations, evidence.faithfulness, evidence.roles)
    found = over_explainers(measure, evidence.roles, evidence.reference.picture, 0.8)
    assert "cannot be told from 3 pictures" in found.why
    assert found.statistic.value is None


def test_pairs_that_would_reach_the_bar_follow_spearman_and_brown():
    found = Reliability(0.5, 0.8, "localization", "the order of the rungs", 50, 100)
    assert found.pairs_needed == pytest.approx(400, abs=1)
    assert "pairs would reach that" in found.why
    good = Reliability(0.9, 0.8, "localization", "the order", 50, 100)
    assert (good.why, good.pairs_needed) == ("", 0)


def test_pairs_that_no_number_makes_reliable_and_those_that_it_takes_to_tell():
    assert Reliability(-0.1, 0.8, "localization", "the order", 50, 100).pairs_needed == np.inf
    fills = Reliability(0.5, 0.8, "faithfulness", "the order", 50, 100, FILLS)
    assert fills.pairs_needed == np.inf
    assert Reliability(np.nan, 0.8, "localization", "the order", 3, 6).pairs_needed == 8
    assert Reliability(np.nan, 0.8, "localization", "the order", 9, 9).pairs_needed == np.inf
