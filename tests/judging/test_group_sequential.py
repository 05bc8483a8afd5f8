"""Evidence that grows look by look, and when to stop looking."""

import dataclasses

import numpy as np
import pytest

from audit.evidence.interim_looks import Looks, cluster_blocks
from audit.evidence.joining import joined
from audit.evidence.kinds import Ladder, RungFaithfulness, RungInfo
from audit.evidence.plan import Gathered
from audit.judging.group_sequential import judge_by_looks, may_settle, stopping_notes
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult
from audit.statistics.spending import levels
from principles.check import Check
from principles.performance_alignment import p206_beats_model_free as p206
from tests.principles.alignment import made

N, FIRST = 96, 48
RUNG = (RungInfo("unmodified", "unmodified", 0.0, 0),)
NOISE = 0.1 * np.random.default_rng(7).normal(size=(4, N))


def evidence(audited, pairs=slice(None)):
    quality = {
        "audited": audited + NOISE[0],
        "faithful": 0.8 + NOISE[1],
        "random": NOISE[2],
        "edges": 0.5 + NOISE[3],
    }
    part = {name: values[pairs] for name, values in quality.items()}
    found = made(part, labels=(np.arange(N) % 10)[pairs], faithfulness=part)
    n = len(part["audited"])
    twice = dataclasses.replace(found.faithfulness, other_gaps=part, other_span=np.ones(n))
    rungs = {name: values[None] for name, values in part.items()}
    ladder = Ladder(RUNG, 0.0, np.ones((1, len(found.reference.present))), rungs)
    faithful = RungFaithfulness(np.arange(n), rungs, np.ones((1, n)))
    return dataclasses.replace(found, faithfulness=twice, ladder=ladder, rung_faithfulness=faithful)


def judged(audited, planned=(FIRST, N)):
    asked = []

    def at(number, _):
        asked.append(planned[number - 1])
        return Gathered(evidence(audited, slice(planned[number - 1])), (), {})

    def lacking(number, wanted):
        return wanted if planned[number - 1] > N else frozenset()

    looks = Looks(planned, at, lacking)
    return judge_by_looks([p206.CHECK], looks, severity={}, thresholds={}), asked


def test_two_parts_are_as_good_as_the_whole():
    one, two = evidence(0.7, slice(FIRST)), evidence(0.7, slice(FIRST, None))
    both, whole = joined(one, two), evidence(0.7)
    for name in ("picture", "labels", "present", "scores"):
        assert np.array_equal(getattr(both.reference, name), getattr(whole.reference, name)), name
    assert np.array_equal(both.rung_faithfulness.probed, whole.rung_faithfulness.probed)
    assert np.array_equal(both.faithfulness.probed, whole.faithfulness.probed)
    for name, values in whole.faithfulness.other_gaps.items():
        assert np.array_equal(both.faithfulness.other_gaps[name], values), name
    found = p206.CHECK.finding(both)
    assert found.statistics == p206.CHECK.finding(whole).statistics


def test_parts_that_were_measured_differently_are_refused():
    one, two = evidence(0.7, slice(FIRST)), evidence(0.7, slice(FIRST, None))
    rung = dataclasses.replace(two.ladder.rungs[0], strength=0.5)
    ladder = dataclasses.replace(two.ladder, rungs=(rung,))
    with pytest.raises(ValueError, match="the same rungs"):
        joined(one, dataclasses.replace(two, ladder=ladder))
    lacking = joined(one, dataclasses.replace(two, ladder=None))
    assert lacking.ladder is None
    assert lacking.explanations is not None


@pytest.mark.parametrize(("audited", "verdict"), [(0.7, Verdict.PASS), (0.2, Verdict.VIOLATION)])
def test_what_is_settled_is_not_looked_at_again(audited, verdict):
    found, asked = judged(audited)
    assert found.results[0].finding.verdict is verdict
    assert asked == [FIRST]
    assert found.looks == 1
    assert "Stopped after 48 of at most 96 pairs" in stopping_notes(found)[0]


def test_more_is_asked_for_where_it_may_settle_a_check():
    found, asked = judged(0.57, (FIRST, N, 400))
    assert asked == [FIRST, N]
    assert found.looks == 2


def test_a_check_whose_saved_evidence_ends_holds_up_no_other():
    ends = check("P291", {"ladder"}, lambda *_: found_as(Verdict.INCONCLUSIVE))
    goes_on = check("P292", {"faithfulness"}, lambda *_: found_as(Verdict.INCONCLUSIVE))
    asked, found = recorded([ends, goes_on], lacks={2: {"ladder"}})
    assert asked == [(1, {"ladder", "faithfulness"}), (2, {"faithfulness"})]
    assert found.seen == {"P291": 1, "P292": 2}
    (words,) = stopping_notes(found)
    assert "Stopped after 96 of at most 96 pairs" in words
    assert "no evidence was saved for P291" in words


def test_an_effect_that_looks_too_small_is_no_reason_to_give_up():
    found, asked = judged(0.503 - (NOISE[0] - NOISE[3])[:FIRST].mean())
    assert asked == [FIRST, N]
    assert found.results[0].finding.verdict is Verdict.INCONCLUSIVE


def found_as(verdict, *, tested=True, wants=(), **more):
    statistics = [Statistic(name="z", value=0.0)] if tested else []
    return Finding(verdict=verdict, summary="", statistics=statistics, wants=list(wants), **more)


def check(name, needs, judge, on_demand=()):
    return Check(
        id=name, name=name, title="", failure_title="", severity=Severity.ERROR,
        needs=frozenset(needs), thresholds={"error_rate": 0.05}, reference="", judge=judge,
        on_demand=frozenset(on_demand),
    )  # fmt: skip


def recorded(checks, pairs=(FIRST, N), lacks=None):
    """What was asked for at each look, and the judgement; some looks lack some kinds."""
    asked, whole = [], evidence(0.7)

    def lacking(number, wanted):
        return frozenset((lacks or {}).get(number, ())) & wanted

    def at(number, wanted):
        asked.append((number, wanted - {"reference", "explanations", "equivalences"}))
        hidden = {
            k: None for k in ("ladder", "rung_faithfulness", "faithfulness") if k not in wanted
        }
        return Gathered(dataclasses.replace(whole, **hidden), (), {})

    found = judge_by_looks(checks, Looks(pairs, at, lacking), severity={}, thresholds={})
    return asked, found


def test_only_what_open_checks_need_grows():
    settled = check("P291", {"ladder", "reference"}, lambda *_: found_as(Verdict.PASS))
    opened = check("P292", {"faithfulness"}, lambda *_: found_as(Verdict.INCONCLUSIVE))
    asked, found = recorded([settled, opened])
    assert asked == [(1, {"ladder", "faithfulness"}), (2, {"faithfulness"})]
    assert found.seen == {"P291": 1, "P292": 2}
    (words,) = stopping_notes(found)
    assert "Stopped after 96 of at most 96 pairs" in words
    assert "Judged by fewer pairs: P291 by 48." in words


@pytest.mark.parametrize(("more_pairs_help", "look"), [(False, 1), (True, 2)])
def test_what_a_check_asks_for_is_measured_where_pairs_do_not_help_or_at_the_last(
    more_pairs_help, look
):
    def judge(evidence, _):
        if evidence.ladder is None:
            return found_as(Verdict.INCONCLUSIVE, wants=["ladder"], more_pairs_help=more_pairs_help)
        return found_as(Verdict.PASS)

    asked, found = recorded([check("P291", {"ladder", "faithfulness"}, judge, {"ladder"})])
    before = [(number, {"faithfulness"}) for number in range(1, look + 1)]
    assert asked == [*before, (look, {"faithfulness", "ladder"})]
    assert found.results[0].finding.verdict is Verdict.PASS


def test_what_is_asked_for_and_not_to_be_had_is_an_error():
    def judge(*_):
        return found_as(Verdict.INCONCLUSIVE, wants=["effects"], more_pairs_help=False)

    asked, found = recorded([check("P291", {"effects", "faithfulness"}, judge, {"effects"})])
    assert [number for number, _ in asked] == [1, 1]
    assert found.results[0].finding.verdict is Verdict.ERROR


def test_a_check_whose_evidence_stops_growing_is_left_and_keeps_its_part_of_the_error_rate():
    rates = {"P292": []}

    def hopeless(*_):
        return found_as(Verdict.INCONCLUSIVE, more_pairs_help=False)

    def opened(_, thresholds):
        rates["P292"].append(thresholds["error_rate"])
        return found_as(Verdict.INCONCLUSIVE)

    checks = [check("P291", {"ladder"}, hopeless), check("P292", {"faithfulness"}, opened)]
    asked, found = recorded(checks)
    assert asked == [(1, {"ladder", "faithfulness"}), (2, {"faithfulness"})]
    assert found.seen == {"P291": 1, "P292": 2}
    assert rates["P292"][-1] == pytest.approx(levels([FIRST / N, 1.0], 0.025)[1])


@pytest.mark.parametrize(
    ("finding", "pairs", "may"),
    [
        (found_as(Verdict.PASS), 48, True),
        (found_as(Verdict.ERROR), 48, False),
        (found_as(Verdict.INCONCLUSIVE, pairs_to_settle=9999), 300, True),
        (found_as(Verdict.INCONCLUSIVE, more_pairs_help=False), 191, True),
        (found_as(Verdict.INCONCLUSIVE, more_pairs_help=False), 192, False),
        (found_as(Verdict.INCONCLUSIVE, tested=False), 48, False),
        (found_as(Verdict.INCONCLUSIVE, tested=False, pairs_to_settle=72), 48, True),
        (found_as(Verdict.INCONCLUSIVE, tested=False, pairs_to_settle=400), 48, True),
        (found_as(Verdict.INCONCLUSIVE, tested=False, pairs_to_settle=400), 192, False),
        (found_as(Verdict.INCONCLUSIVE, tested=False, pairs_to_settle=300), 272, True),
    ],
)
def test_given_up_is_only_what_no_number_of_pairs_would_settle(finding, pairs, may):
    forecast = CheckResult.model_construct(finding=finding)
    assert may_settle(forecast, pairs, 384) is may


def test_pairs_of_a_picture_stay_in_one_block():
    picture = np.array([0, 0, 1, 2, 2, 2, 3, 4])
    blocks = cluster_blocks(picture, [2, 4, 8])
    assert blocks == [[0, 1], [2, 3, 4, 5], [6, 7]]
    backwards = cluster_blocks(picture[::-1], [3, 8])
    assert sorted(pair for block in backwards for pair in block) == list(range(8))
