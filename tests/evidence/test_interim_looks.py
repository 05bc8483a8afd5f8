"""Looks measure what is asked for, once, and catch up on what was not asked for before."""

import functools
from collections import Counter

import numpy as np
import pytest

from audit.evidence import interim_looks as looks
from audit.evidence import plan as gathering

BASE = frozenset({"reference", "explanations"})


@pytest.fixture
def measured(context_for, monkeypatch, tmp_path):
    """Looks of a tiny audit, and how often each kind was gathered."""
    counts = Counter()

    def counting(kind, gatherer):
        @functools.wraps(gatherer)  # keeps the parameters, which name what it needs
        def gather(*given, **named):
            counts[kind] += 1
            return gatherer(*given, **named)

        return gather

    for kind, gatherer in list(gathering.GATHERERS.items()):
        monkeypatch.setitem(gathering.GATHERERS, kind, counting(kind, gatherer))
    context = context_for("gradient")
    monkeypatch.setattr(looks, "look_sizes", lambda budget: [budget // 2, budget])

    def start(*, resume=True):
        return looks.measured_looks(context, tmp_path, "key", resume=resume)

    return start, counts, tmp_path


@pytest.mark.parametrize("resume", [True, False])
def test_each_kind_is_measured_once_on_each_pair(measured, resume):
    start, counts, _ = measured
    found = start(resume=resume)
    for number in (1, 1, 2, 2):
        found.at(number, BASE)
    assert counts == {"reference": 2, "explanations": 2}


def test_what_is_asked_for_late_is_measured_on_all_pairs(measured):
    start, counts, folder = measured
    found = start()
    assert found.at(1, BASE).evidence.faithfulness is None
    late = found.at(2, BASE | {"faithfulness"}).evidence
    assert counts == {"reference": 2, "explanations": 2, "faithfulness": 2}
    assert len(late.reference.ids) == found.pairs[-1]
    assert late.faithfulness.probed.max() >= found.pairs[0]
    assert found.at(2, BASE).evidence.faithfulness is None  # not shown where nobody asks
    again = looks.saved_looks(folder)
    assert again.pairs == found.pairs
    saved = again.at(2, BASE | {"faithfulness"}).evidence
    assert np.array_equal(saved.faithfulness.probed, late.faithfulness.probed)
    assert again.at(1, BASE | {"ladder"}).evidence.ladder is None  # never asked for: an ERROR


def test_what_fails_is_not_tried_again(measured, monkeypatch):
    start, counts, _ = measured

    def fails(context, explanations):
        counts["failed"] += 1
        raise RuntimeError("no faithfulness today")

    monkeypatch.setitem(gathering.GATHERERS, "faithfulness", fails)
    found = start()
    for _ in range(2):
        one = found.at(1, BASE | {"faithfulness"})
    assert counts["failed"] == 1
    assert one.evidence.faithfulness is None
    assert one.failures[0].where == "gathering faithfulness"
