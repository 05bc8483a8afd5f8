"""The pairs of a result: labels, tags, and the worst pair of a violation."""

import numpy as np
import pytest

from audit.evidence.kinds import Evidence, Explanations, Reference, Roles
from audit.judging.gallery import gallery, with_worst_pair
from audit.result.figures import NamedMap, PairFigure
from audit.result.finding import Finding, Verdict, Witness

RNG = np.random.default_rng(3)
OURS, TWIN, CONTROL = (RNG.random((3, 4, 4)) for _ in range(3))


def evidence(*, twin="twin", maps=None, ours=OURS):
    roles = Roles("ours", ("control",), ("random",), twin, True, False, False)
    reference = Reference(
        ids=("a", "b", "c"),
        texts=("one", "two", "three"),
        classes=("one", "two", "three"),
        picture=np.array([0, 0, 1]),
        labels=np.array([0, 1, 2]),
        present=np.array([[True, True, False], [False, False, True]]),
        scores=np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.6]]),
        masks=np.ones((3, 4, 4)),
        image_blocks=1,
        text_blocks=1,
    )
    quality = {"average precision": np.array([0.5, -0.1, np.nan])}
    explanations = Explanations(
        maps or {"ours": ours, "twin": TWIN, "control": CONTROL}, {"ours": quality}
    )
    return Evidence(roles=roles, reference=reference, explanations=explanations)


def violation(pair="b", figures=()):
    return Finding(
        verdict=Verdict.VIOLATION,
        summary="s",
        figures=list(figures),
        witness=Witness(pair=pair, command="c"),
    )


def figure_of(values, pair="b"):
    maps = [NamedMap(title="m", values=values.tolist())]
    return PairFigure(title="t", caption="", pair=pair, maps=maps)


def test_each_pair_with_its_maps_and_what_it_is():
    first, second, third = gallery(evidence(), [0, 1, 2])
    assert [one.title for one in first.maps] == [
        *("ours", "on the unmodified model", "control (control)")
    ]
    assert np.allclose(first.maps[0].values, OURS[0], atol=1e-5)
    assert first.tags == ["the model is right"]  # 0.5 beats the absent class's 0.3
    assert second.tags == ["the model is wrong", "map no better than chance"]  # 0.2 does not
    assert third.tags == ["the model is right"]
    assert first.caption == "Score 0.500; localization 0.50."
    assert third.caption == "Score 0.600."


def test_a_map_appears_once_where_twin_or_control_is_the_audited_one():
    (only,) = gallery(evidence(twin="ours"), [0])
    assert [one.title for one in only.maps] == ["ours", "control (control)"]


def test_no_maps_no_pairs():
    assert gallery(Evidence(roles=evidence().roles), []) == []


def test_the_worst_pair_shows_executed_against_model_on_one_scale():
    found = with_worst_pair(violation(), evidence())
    (figure,) = found.figures
    assert figure.pair == "b"
    assert figure.shared_scale
    assert [one.title for one in figure.maps] == [
        *("as executed", "on the unmodified model", "difference")
    ]
    assert np.allclose(figure.maps[2].values, OURS[1] - TWIN[1], atol=1e-4)


def test_without_a_twin_the_map_alone():
    (figure,) = with_worst_pair(violation(), evidence(twin=None)).figures
    assert [one.title for one in figure.maps] == ["map"]
    assert not figure.shared_scale


@pytest.mark.parametrize(
    ("finding", "count"),
    [
        (violation(figures=[figure_of(OURS[1])]), 1),  # the map is there already
        (violation(figures=[figure_of(OURS[1] + 1e-7)]), 1),  # up to rounding
        (violation(figures=[figure_of(TWIN[1])]), 2),  # another map
        (violation(figures=[figure_of(OURS[1], pair="a")]), 2),  # of another pair
        (violation(figures=[figure_of(OURS[1][:2])]), 2),  # of another shape
        (violation(pair="unknown"), 0),
        (Finding(verdict=Verdict.PASS, summary="s"), 0),
        (Finding(verdict=Verdict.VIOLATION, summary="s"), 0),
    ],
)
def test_only_what_is_not_shown_yet_is_added(finding, count):
    assert len(with_worst_pair(finding, evidence()).figures) == count


def test_without_maps_the_finding_stays_as_it_is():
    assert with_worst_pair(violation(), Evidence(roles=evidence().roles)) == violation()


def test_values_that_are_not_finite_do_not_stop_it():
    ours = OURS.copy()
    ours[1, 0, 0] = np.nan
    (figure,) = with_worst_pair(violation(), evidence(ours=ours)).figures
    assert figure.maps[0].values[0][0] is None
