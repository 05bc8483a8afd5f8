"""Several checks and several looks keep one error rate."""

import math

import numpy as np
import pytest
from scipy import stats

from audit.judging.judge_all import judge_all
from audit.judging.multiplicity import holm_over_checks, with_adjusted_p
from audit.result.finding import Finding, Verdict
from audit.result.numbers import Statistic
from audit.statistics import holm
from audit.statistics.power import pairs_to_clear, visible_distance
from audit.statistics.spending import levels, look_sizes
from tests.benchmarks.passes_to_verdict import SHARE
from tests.principles.alignment import at_most

AUDITS, BUDGET = 2000, 384
SIZES = [48, 68, 96, 136, 192, 272, 384]


def found_as(verdict, *, tested=True):
    statistics = [Statistic(name="z", value=0.0)] if tested else []
    return Finding(verdict=verdict, summary="", statistics=statistics)


LACKING = found_as(Verdict.INCONCLUSIVE, tested=False)
OPEN, PASSED, VIOLATED = map(found_as, (Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.VIOLATION))


def by_z(scores):
    """Checks that pass above, and are violated below, what a normal score allows."""
    p = dict(zip(scores, (2 * stats.norm.sf(np.abs(list(scores.values())))).tolist(), strict=True))

    def judge(name, rate):
        if math.isnan(p[name]):
            return LACKING
        if p[name] >= rate:
            return OPEN
        return PASSED if scores[name] > 0 else VIOLATED

    return judge


def by_name(values):
    return {f"c{i}": float(value) for i, value in enumerate(values)}


def verdicts(scores, rate=0.05, others=0):
    found = holm_over_checks(dict.fromkeys(scores, rate), by_z(scores), lambda f: f, others)
    return {name: one.verdict for name, (one, _) in found.items()}


def test_judging_by_intervals_is_holm_on_the_p_values():
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores = by_name(2.3 * rng.normal(size=5))
        p = holm(np.array([2 * stats.norm.sf(abs(z)) for z in scores.values()]))
        settled = [v is not Verdict.INCONCLUSIVE for v in verdicts(scores).values()]
        assert settled == (p < 0.05).tolist()


def test_a_check_without_a_test_takes_no_share():
    found = verdicts({"one": 2.0, "lacking": math.nan})
    assert found == {"one": Verdict.PASS, "lacking": Verdict.INCONCLUSIVE}
    assert verdicts({"one": 2.0, "other": 0.1})["one"] is Verdict.INCONCLUSIVE


def test_a_check_that_was_left_keeps_its_share():
    assert verdicts({"one": 2.0}, others=1)["one"] is Verdict.INCONCLUSIVE
    assert verdicts({"one": 2.3}, others=1)["one"] is Verdict.PASS


def test_the_deciding_p_values_are_adjusted_by_holm():
    def found(*p):
        statistics = [Statistic(name=f"s{i}", value=0.0, p=one) for i, one in enumerate(p)]
        return Finding(verdict=Verdict.INCONCLUSIVE, summary="", statistics=statistics)

    findings = {"a": found(0.01, 0.5), "b": found(None, 0.04), "c": found(None), "none": LACKING}
    adjusted = with_adjusted_p(findings)
    wanted = holm(np.array([0.01, 0.04, 1.0]))
    assert adjusted["a"].statistics[0].p_adjusted == pytest.approx(wanted[0])
    assert adjusted["b"].statistics[1].p_adjusted == pytest.approx(wanted[1])
    assert adjusted["a"].statistics[1].p_adjusted is None
    assert (adjusted["c"], adjusted["none"]) == (findings["c"], findings["none"])
    assert with_adjusted_p({"none": LACKING}) == {"none": LACKING}


def test_without_any_relation_audits_with_a_wrong_verdict_stay_at_the_error_rate():
    scores = np.random.default_rng(1).normal(size=(AUDITS, 6))
    wrong = sum(
        any(v is not Verdict.INCONCLUSIVE for v in verdicts(by_name(row)).values())
        for row in scores
    )
    assert wrong <= at_most(0.05, AUDITS)
    assert wrong >= 0.03 * AUDITS  # and is not far below: six tests at 0.05/6 give 0.049


def test_levels_of_looks_are_those_of_lan_and_demets():
    """Two-sided boundaries of their Pocock-like spending function at five even looks."""
    even = levels([0.2, 0.4, 0.6, 0.8, 1.0], 0.05, lambda t: math.log1p((math.e - 1) * t))
    edges = [stats.norm.isf(level / 2) for level in even]
    assert edges == pytest.approx([2.44, 2.43, 2.41, 2.40, 2.39], abs=0.01)
    assert levels([1.0], 0.05) == (0.05,)
    with pytest.raises(ValueError, match="rise"):
        levels([0.5, 0.4, 1.0], 0.05)


def test_looks_grow_by_about_the_root_of_two():
    assert look_sizes(384) == SIZES
    assert look_sizes(100) == [48, 68, 100]
    assert look_sizes(20) == [20]


def at_looks(effect, rng, rate=0.05):
    """Pairs, the statistic t of simulated audits with one check, and its level, at each look."""
    values = effect + rng.normal(size=(AUDITS, BUDGET))
    for n, level in zip(SIZES, levels([n / BUDGET for n in SIZES], rate), strict=True):
        seen = values[:, :n]
        yield n, seen.mean(1) / seen.std(1, ddof=1) * math.sqrt(n), level


def stopped(effect, rng, rate=0.05):
    """Pairs at the verdict and its sign (0 for none), of simulated audits with one check."""
    pairs, sign = np.full(AUDITS, BUDGET), np.zeros(AUDITS)
    for n, t, level in at_looks(effect, rng, rate):
        fresh = (sign == 0) & (abs(t) > stats.t.ppf(1 - level / 2, n - 1))
        pairs[fresh], sign[fresh] = n, np.sign(t[fresh])
    return pairs, sign


def test_looking_several_times_keeps_the_error_rate():
    _, sign = stopped(0.0, np.random.default_rng(2))
    assert (sign != 0).sum() <= at_most(0.05, AUDITS)
    assert (sign != 0).sum() >= 0.035 * AUDITS  # all of the rate is spent


def test_what_looks_share_beside_pairs_makes_wrong_verdicts_rarer():
    """Rungs of a ladder are the same at every look: part of the noise does not change."""
    rng = np.random.default_rng(6)
    fixed, wrong = rng.normal(size=AUDITS), np.zeros(AUDITS, bool)
    for _, t, level in at_looks(0.0, rng):
        wrong |= abs((t + fixed) / math.sqrt(2)) > stats.norm.isf(level / 2)
    assert wrong.sum() <= at_most(0.05, AUDITS)


def test_several_checks_at_several_looks_keep_one_error_rate():
    """Settled checks leave; those that are given up, by what is seen of them, keep their share."""
    rng, wrong = np.random.default_rng(8), 0
    fractions = np.array(SIZES) / BUDGET
    drift = np.array([0.0, 0.0, 0.0, 4.0])
    for _ in range(AUDITS):
        steps = rng.normal(size=(len(SIZES), 4)) * np.sqrt(np.diff(fractions, prepend=0))[:, None]
        path = np.cumsum(steps, 0) / np.sqrt(fractions)[:, None]
        settled = settled_checks(path + np.sqrt(fractions)[:, None] * drift, fractions)
        wrong += bool(settled & {"c0", "c1", "c2"})  # of c3 something is there to be seen
    assert wrong <= at_most(0.05, AUDITS)


def settled_checks(scores, fractions):
    """The checks that have a verdict at some look, from normal scores by look and check."""
    open_, others, settled = set(by_name(scores[0])), 0, set()
    for look, values in enumerate(scores):
        row = by_name(values)
        found = holm_over_checks(
            dict.fromkeys(open_, 0.05),
            lambda name, rate, row=row, look=look: by_z(row)(
                name, levels(fractions.tolist(), rate)[look]
            ),
            lambda f: f,
            others,
        )
        settled |= {name for name, (finding, _) in found.items() if finding is not OPEN}
        left = {name for name in open_ - settled if abs(row[name]) > 0.3}  # else hopeless
        others, open_ = others + len(open_ - settled) - len(left), left
    return settled


def test_half_the_passes_of_a_fixed_sample_with_the_same_error_rates():
    """Over effects from the smallest that the budget shows to thrice that, as audits meet them."""
    rng, smallest = np.random.default_rng(3), 0.172  # seen with power 0.9 by the looks, see below
    fixed = math.ceil(((stats.norm.ppf(0.975) + stats.norm.ppf(0.9)) / smallest) ** 2)
    pairs, sign = zip(*(stopped(e * smallest, rng) for e in (1, 1.5, 2, 3)), strict=True)
    assert (sign[0] > 0).mean() > 0.88
    assert fixed <= SHARE * BUDGET
    assert not any((s < 0).sum() > at_most(0.025, AUDITS) for s in sign)
    assert fixed / np.mean(pairs) >= 2.4


def test_the_stated_number_of_pairs_settles_as_often_as_stated():
    rng, n, effect = np.random.default_rng(4), 50, 0.2
    half = stats.norm.ppf(0.975) / math.sqrt(n)
    wanted = pairs_to_clear(effect, effect - half, effect + half, 0.95, 0.0, n)
    assert visible_distance(-half, half, 0.95) == pytest.approx(2.80 / math.sqrt(n), abs=0.01)
    means = effect + rng.normal(size=AUDITS) / math.sqrt(wanted)
    assert 0.77 < (means > stats.norm.ppf(0.975) / math.sqrt(wanted)).mean() < 0.83
    assert pairs_to_clear(0.0, -1.0, 1.0, 0.95, 0.0, n) is None
    assert pairs_to_clear(0.1, math.nan, math.nan, 0.95, 0.0, n) is None


def test_judging_says_at_which_rate_and_how_many_pairs():
    from principles.performance_alignment import p202_tracks_samples as p202
    from principles.performance_alignment import p206_beats_model_free as p206
    from tests.principles.alignment import made

    rng, n = np.random.default_rng(5), 80
    correct = np.arange(n) % 4 != 0
    quality = {
        "audited": 0.52 + 0.1 * rng.normal(size=n) + 0.05 * correct,
        "faithful": 0.8 + 0.1 * rng.normal(size=n) + 0.2 * correct,
        "random": 0.1 * rng.normal(size=n),
        "edges": 0.5 + 0.1 * rng.normal(size=n),
    }
    checks = [p202.CHECK, p206.CHECK]
    judged, broken = judge_all(checks, made(quality, correct), (), severity={}, thresholds={})
    assert not broken
    for result in judged:
        finding = result.finding
        assert result.thresholds["error_rate"] == 0.05
        assert finding.statistics[0].smallest_visible_effect > 0
        assert finding.statistics[0].p <= finding.statistics[0].p_adjusted <= 1
        assert finding.statistics[0].p_test
        if finding.verdict is Verdict.INCONCLUSIVE:
            assert finding.pairs_to_settle > n
            assert any("Holm" in line for line in finding.detail)
    assert any(r.finding.verdict is Verdict.INCONCLUSIVE for r in judged)
