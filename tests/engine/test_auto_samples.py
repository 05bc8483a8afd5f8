"""``--samples auto`` on a tiny model: evidence of all looks, interruption, judging it again."""

import json
from pathlib import Path

import numpy as np
import pytest

from audit.evidence import interim_looks as looks
from audit.evidence import ladder
from audit.evidence.joining import PER_PAIR
from audit.evidence.plan import GATHERERS, load_evidence
from audit.judging import group_sequential as stopping
from audit.result.document import load_result

SIZES = [4, 8, 12]
EVIDENCE = Path("audit-report", "evidence")


@pytest.fixture
def auto(command, tiny_model, monkeypatch):
    """Audits of principle 2 that take all three looks, on a model taken to know something."""
    monkeypatch.setattr(ladder, "knows_something", lambda _: True)
    monkeypatch.setattr(ladder, "RUNGS_PER_SEED", 2)
    monkeypatch.setattr(ladder, "lie_apart", lambda *_: True)  # four pictures tell none apart
    monkeypatch.setattr(looks, "look_sizes", lambda _: SIZES)
    monkeypatch.setattr(stopping, "may_settle", lambda *_: True)

    def run(*words, explainer="grad-eclip", samples="auto"):
        small = ["--model", tiny_model, "--profile", "quick", "--samples", samples]
        small += ["--budget", "12", "--select", "P2", "--format", "json"]
        return command("check", "--explainer", explainer, *small, *words)

    return run


def result(folder="audit-report"):
    return load_result(Path(folder, "result.json").read_text())


def saved(wanted=PER_PAIR, folder=EVIDENCE):
    """Pairs at each look whose evidence can be read again."""
    found, wanted = looks.saved_looks(folder), frozenset(wanted)
    numbers = [n for n in range(1, len(SIZES) + 1) if not found.lacking(n, wanted)]
    return [len(found.at(n, wanted).evidence.reference.ids) for n in numbers]


def merged(folder=EVIDENCE):
    return looks.saved_looks(folder).at(len(SIZES), PER_PAIR).evidence


def finish(done):
    """Nothing failed; of so few pairs no check may come to a verdict."""
    unsettled = "no check came to a verdict" in " ".join(done.output.split())
    assert unsettled or done.exit_code in {0, 1}, done.output


def test_evidence_of_all_looks_is_that_of_one_sample(auto):
    finish(auto())
    grown = merged()
    assert "at look 3 of 3" in result().notes[-1]
    assert result().data.pairs == 12
    finish(auto("--out", "whole", samples="12"))
    whole = load_evidence(Path("whole", "evidence"))
    order = [whole.reference.ids.index(pair) for pair in grown.reference.ids]
    pictures = [whole.reference.picture[order[i]] for i in first_of(grown.reference.picture)]
    assert np.allclose(grown.reference.scores, whole.reference.scores[pictures], atol=1e-5)
    for name, maps in grown.explanations.maps.items():
        assert np.allclose(maps, whole.explanations.maps[name][order], atol=1e-4), name
    assert grown.executed.how == whole.executed.how == "gradient"
    assert grown.executed.largest_difference == pytest.approx(
        whole.executed.largest_difference, abs=1e-4
    )
    assert np.array_equal(grown.executed.correct, whole.executed.correct[pictures])


def first_of(picture):
    """The first pair of each picture, by the picture's number."""
    return [int(np.flatnonzero(picture == p)[0]) for p in range(picture.max() + 1)]


def test_every_kind_grows_with_the_looks(auto):
    finish(auto())
    grown, n = merged(), 12
    pictures = len(grown.reference.present)
    rungs = len(grown.ladder.rungs)
    assert rungs == 1 + 2 + 2  # two strengths of noise, two depths of random blocks
    assert grown.ladder.correct.shape == (rungs, pictures)
    probed = grown.faithfulness.probed
    assert len(probed) == len(set(probed.tolist())) == 8  # of the profile
    assert probed.max() >= 8  # pairs of the last look as well
    for name, quality in grown.ladder.localization.items():
        assert quality.shape == (rungs, n), name
    for name, other in grown.faithfulness.other_gaps.items():
        assert other.shape == (8,), name
    assert grown.executed.correct.shape == (pictures,)
    assert len(grown.text_specificity.absent) == n
    absent = grown.text_specificity.absent
    known = absent >= 0
    assert not grown.reference.present[grown.reference.picture[known], absent[known]].any()
    kinds = {path.stem for path in (EVIDENCE / "look-2").glob("*.json")} - {"roles", "key"}
    unasked = {"rung_faithfulness", "map_quality"}
    assert kinds == PER_PAIR - unasked  # what is of a fixed number of pairs is not measured again


def test_interrupted_in_a_later_look_it_goes_on_from_there(auto, monkeypatch):
    finish(auto("--out", "straight"))
    calls, real = [], GATHERERS["ladder"]

    def interrupts(context, reference, explanations):
        calls.append(len(context.pairs))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(context, reference, explanations)

    monkeypatch.setitem(GATHERERS, "ladder", interrupts)
    broken = auto()
    assert broken.exit_code == 130
    assert "interrupted" in broken.output
    assert not Path("audit-report", "result.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in EVIDENCE.glob("look-*/*.npz")}
    assert {path.parent.name for path in kept} == {"look-1", "look-2"}
    finish(auto())
    assert len(calls) == 2 + 2  # the ladder of the first look was not measured again
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    straight, resumed = result("straight"), result()
    for one, two in zip(straight.checks, resumed.checks, strict=True):
        assert one.finding.verdict is two.finding.verdict
        assert one.finding.statistics == two.finding.statistics


def test_judged_again_it_looks_as_the_audit_did(auto, command):
    finish(auto())
    before = result()
    done = command("check", "--from-evidence", "audit-report", "--select", "P2", "--out", "again")
    finish(done)
    for one, two in zip(before.checks, result("again").checks, strict=True):
        assert one.finding.verdict is two.finding.verdict
        assert one.finding.statistics == two.finding.statistics
    assert before.notes == result("again").notes
    assert before.notes[-1].startswith("Stopped after 12 of at most 12 pairs")


def test_what_failed_in_a_later_look_fails_when_it_is_judged_again(auto, command, monkeypatch):
    real = GATHERERS["faithfulness"]

    def fails_later(context, explanations):
        if len(context.pairs) < 6:
            raise RuntimeError("not these pairs")
        return real(context, explanations)

    with monkeypatch.context() as patch:
        patch.setitem(GATHERERS, "faithfulness", fails_later)
        assert auto().exit_code == 3
    words = ["--select", "P2", "--out", "again", "--format", "json"]
    assert command("check", "--from-evidence", "audit-report", *words).exit_code == 3
    for one, two in zip(result().checks, result("again").checks, strict=True):
        assert one.finding.verdict is two.finding.verdict
    assert any(c.finding.verdict.value == "error" for c in result().checks)


def test_looks_of_another_audit_or_unfinished_ones_are_no_evidence(auto):
    finish(auto())
    sizes = [6, 8, 12]  # the first look takes in the other pairs of its pictures
    assert saved() == sizes
    (EVIDENCE / "look-3" / "ladder.json").unlink()
    assert saved() == sizes[:2]
    assert saved({"reference", "explanations"}) == sizes  # without what did not grow
    (EVIDENCE / "look-2" / "key.json").write_text(json.dumps({"key": "of another-2"}))
    assert saved() == sizes[:1]


@pytest.mark.parametrize(
    ("most", "sizes", "least", "wanted"),
    [
        (16, [48, 96, 192, 384], 1, [2, 2, 4, 8]),
        (16, [48, 96, 192, 384], 8, [8, 4, 4, 8]),
        (8, [4, 8, 12], 1, [3, 3, 2]),
        (16, [4], 8, [4]),
    ],
)
def test_pairs_probed_for_faithfulness_go_with_the_pairs(most, sizes, least, wanted):
    assert looks.probed_at_looks(most, sizes, least) == wanted
