"""Wrong verdicts, and power, of the real checks of principle 2 on simulated evidence.

``python -m tests.benchmarks.calibration [--audits 2000] [--world boundary] [--looks]`` judges
simulated audits by P201 to P206 as they are, with Holm's procedure, controls and reliability, and
prints how often each check passed, was violated, and was wrong, beside the stated error rate; with
``--looks`` at 48, 68, 96 and all 120 pairs, as ``audit check --samples auto`` does. Worlds:

- ``boundary``: the truth of each check lies exactly at its threshold (P201: a rank correlation of
  one half; P202: an area of one half; P203: no correlation; P204: two models of equal accuracy;
  P205: a difference of 0.02; P206: as good as the edges), so that every verdict is wrong but a pass
  of P204.
- ``unrelated``: maps that have nothing to do with the model: no correlation over rungs, nothing
  changes under an absent text. A pass of P201, P202, P203, P205, P206 is wrong, and a violation of
  P202, P203, P204, P206.
- ``related``: maps that follow the model, by the effects of `EFFECTS`; every pass is right.

Measured over 2,000 audits of ``boundary``: 2.5 % had a wrong verdict, 5 % is stated; each check but
P204, which may, passed in at most 0.5 % and was violated in at most 0.75 %, controls silencing at
most 4.4 %. Over 2,000 of ``unrelated``: 0.95 %. Over 500 of ``boundary`` judged look by look 2.6 %
had one, at any look; each check passed in at most 0.8 % and was violated in at most 0.6 %.

p-values take no part in verdicts and are left out; bootstraps draw `RESAMPLES` or what the level of
the interval asks for, reliability `SPLITS`. Two thousand audits take about ten minutes of one core,
which is why the suite judges fewer (`tests/judging/test_calibration.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
from scipy import stats

from audit.evidence.interim_looks import Looks
from audit.evidence.kinds import (
    Evidence,
    Executed,
    Explanations,
    Ladder,
    RungFaithfulness,
    RungInfo,
)
from audit.evidence.plan import Gathered
from audit.judging.group_sequential import judge_by_looks
from audit.judging.judge_all import judge_all
from audit.result.finding import Finding, Verdict
from audit.result.schema import CheckResult, Failure
from audit.statistics.spending import look_sizes
from principles.catalogue import all_checks
from principles.performance_alignment import (
    p201_tracks_ladder,
    p202_tracks_samples,
    p205_text_specific,
    p206_beats_model_free,
    reliability,
)
from tests.principles.alignment import made, with_absent

RESAMPLES, SPLITS, ERROR_RATE = 300, 60, 0.05
CLASSES, EACH = 20, 6
N, PICTURES = CLASSES * EACH, CLASSES * EACH // 2
CHECKS = [c for c in all_checks() if c.principle == 2]
RIGHT_PASSES = {"boundary": {"P204"}, "unrelated": {"P204"}}
RIGHT_VIOLATIONS = {"boundary": set(), "unrelated": {"P201", "P205"}}


@dataclass(frozen=True)
class Effects:
    """What is true of the audited maps.

    Attributes:
        rungs: rank correlation of a rung's quality with its accuracy, within families.
        area: probability that a right pair has the better map.
        classes: standard deviation of quality between classes that follows accuracy, over noise.
        leaves: difference in localization under an absent text.
        gain: over the edge detector.
    """

    rungs: float
    area: float
    classes: float
    leaves: float
    gain: float


EFFECTS = {
    "boundary": Effects(rungs=0.5, area=0.5, classes=0.0, leaves=0.02, gain=0.0),
    "unrelated": Effects(rungs=0.0, area=0.5, classes=0.0, leaves=0.0, gain=0.0),
    "related": Effects(rungs=0.99, area=0.85, classes=1.0, leaves=0.15, gain=0.15),
}
NOISE = 0.1  # of a pair's quality; half of it is shared by the pairs of a picture


def evidence(effects: Effects, rng: np.random.Generator) -> Evidence:
    """Evidence of one simulated audit."""
    labels = rng.permutation(np.repeat(np.arange(CLASSES), EACH))
    known = rng.permutation(np.linspace(0.1, 1.0, CLASSES))
    correct = rng.random(N) < known[labels]
    picture = np.arange(N) // 2

    def noise() -> np.ndarray:
        shared = rng.normal(size=PICTURES)[picture]
        return NOISE * np.sqrt(0.5) * (shared + rng.normal(size=N))

    shift = NOISE * np.sqrt(2) * stats.norm.ppf(effects.area)
    follows = (known - known.mean()) / known.std() * NOISE * effects.classes
    faithful = 0.7 + 0.3 * correct + 0.6 * (known - known.mean())[labels]
    mine = shift * (correct - correct.mean()) + follows[labels] + effects.gain
    quality = {
        "audited": 0.5 + mine + noise(),
        "faithful": faithful + noise(),
        "random": noise(),
        "edges": 0.5 + noise(),
    }
    absent = {**quality, "audited": quality["audited"] - effects.leaves + noise()}
    absent["faithful"] = quality["faithful"] - 0.5 + noise()
    built = with_absent(made(quality, correct, labels=labels), absent)
    classifies = rng.random(PICTURES) < 0.9
    parted = rng.random(PICTURES) < 0.2  # who is right of the two models where one is wrong
    first = rng.random(PICTURES) < 0.5
    executed = Executed(
        "gradient", np.where(parted, first, classifies), np.where(parted, ~first, classifies), 0.1,
    )  # fmt: skip
    ladder = _ladder(effects, quality, noise, rng)
    none = RungFaithfulness(np.zeros(0, int), {}, np.ones((len(ladder.rungs), 0)))
    return replace(built, executed=executed, ladder=ladder, rung_faithfulness=none)


def first(whole: Evidence, pairs: int) -> Evidence:
    """The evidence of the first pairs."""
    reference, ladder, executed = whole.reference, whole.ladder, whole.executed
    assert reference is not None
    assert ladder is not None
    assert executed is not None
    pictures = int(reference.picture[pairs - 1]) + 1
    shown = replace(
        reference, ids=reference.ids[:pairs], texts=reference.texts[:pairs],
        picture=reference.picture[:pairs], labels=reference.labels[:pairs],
        present=reference.present[:pictures], scores=reference.scores[:pictures],
    )  # fmt: skip
    own, other = whole.explanations, whole.text_specificity
    assert own is not None
    assert other is not None
    return replace(
        whole,
        reference=shown,
        explanations=Explanations(_first(own.maps, pairs), _named(own.localization, pairs)),
        text_specificity=replace(
            other, absent=other.absent[:pairs], maps=_first(other.maps, pairs),
            localization=_named(other.localization, pairs),
        ),
        ladder=replace(
            ladder, correct=ladder.correct[:, :pictures],
            localization={n: rows[:, :pairs] for n, rows in ladder.localization.items()},
        ),
        executed=replace(
            executed, candidates=executed.candidates[:pictures],
            scores=executed.scores[:pictures], correct=executed.correct[:pictures],
            model_correct=executed.model_correct[:pictures],
        ),
    )  # fmt: skip


def _first(table: dict[str, np.ndarray], pairs: int) -> dict[str, np.ndarray]:
    return {name: values[:pairs] for name, values in table.items()}


def _named(
    tables: dict[str, dict[str, np.ndarray]], pairs: int
) -> dict[str, dict[str, np.ndarray]]:
    return {name: _first(table, pairs) for name, table in tables.items()}


def _ladder(effects, quality, noise, rng) -> Ladder:
    """Nineteen rungs, as of the default audit, whose true accuracies and qualities are drawn."""
    families = ["unmodified"] + 14 * ["weight-noise"] + 4 * ["random-blocks"]
    rungs = tuple(RungInfo(f"{f} {i}", f, float(i), 0) for i, f in enumerate(families))
    latent = rng.normal(size=(2, len(rungs)))
    r = 2 * np.sin(np.pi * effects.rungs / 6)  # of normal numbers with this rank correlation
    level = r * latent[0] + np.sqrt(1 - r * r) * latent[1]
    share = 0.05 + 0.9 * stats.norm.cdf(latent[0])
    draws = rng.random((len(rungs), PICTURES))
    rows = {
        "audited": quality["audited"] + 0.2 * (level - level[0])[:, None],
        "faithful": quality["faithful"] + (share - share[0])[:, None],
    }
    rows = {n: row + np.stack([0.3 * noise() for _ in rungs]) for n, row in rows.items()}
    for name in ("random", "edges"):
        rows[name] = np.tile(quality[name], (len(rungs), 1))
    return Ladder(
        rungs, 0.0, draws < share[:, None], rows
    )  # fmt: skip


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Fewer draws, and no p-values, which take no part in verdicts."""
    with contextlib.ExitStack() as stack:
        for module in (
            p201_tracks_ladder, p202_tracks_samples, p205_text_specific, p206_beats_model_free,
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(module, "RESAMPLES", RESAMPLES))
        for module, name, instead in (
            (reliability, "SPLITS", SPLITS),
            (p202_tracks_samples, "auroc_permutation", lambda *_, **__: None),
            (p205_text_specific, "flipped", lambda estimate, *_: estimate),
            (p206_beats_model_free, "flipped", lambda estimate, *_: estimate),
        ):
            stack.enter_context(mock.patch.object(module, name, instead))
        yield


@dataclass(frozen=True)
class Found:
    """What a check found, and whether controls or reliability silenced it."""

    verdict: Verdict
    silent: bool


def judged(
    world: str, audits: int, seed: int = 0, *, by_looks: bool = False
) -> list[dict[str, Found]]:
    """What the checks found in simulated audits, at once or look by look."""
    found = []
    with quick():
        for i in range(audits):
            built = evidence(EFFECTS[world], np.random.default_rng([seed, i]))
            results, broken = _at_looks(built) if by_looks else _at_once(built)
            assert not broken, broken[0].traceback
            found.append({r.id: _found(r.finding) for r in results})
    return found


def _at_once(built: Evidence) -> tuple[list[CheckResult], list[Failure]]:
    return judge_all(CHECKS, built, (), severity={}, thresholds={})


def _at_looks(built: Evidence) -> tuple[list[CheckResult], list[Failure]]:
    sizes = look_sizes(N)
    looks = Looks(sizes, lambda number, _: Gathered(first(built, sizes[number - 1]), (), {}))
    found = judge_by_looks(CHECKS, looks, severity={}, thresholds={})
    return found.results, found.broken


def _found(finding: Finding) -> Found:
    return Found(finding.verdict, "othing can be said" in finding.summary)


def wrong(world: str, audit: dict[str, Found]) -> set[str]:
    """Checks whose verdict is wrong in this world."""
    return {
        name
        for name, found in audit.items()
        if (found.verdict is Verdict.PASS and name not in RIGHT_PASSES[world])
        or (found.verdict is Verdict.VIOLATION and name not in RIGHT_VIOLATIONS[world])
    }


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=2000)
    parser.add_argument("--world", choices=sorted(EFFECTS), action="append")
    parser.add_argument("--looks", action="store_true", help="judge look by look")
    chosen = parser.parse_args()
    for world in chosen.world or sorted(EFFECTS):
        started = time.process_time()
        found = judged(world, chosen.audits, by_looks=chosen.looks)
        seconds = time.process_time() - started
        print(f"{world}: {len(found)} audits, {seconds:.0f} s, {EFFECTS[world]}")
        for check in CHECKS:
            count = Counter(audit[check.id].verdict.value for audit in found)
            count["silenced"] = sum(audit[check.id].silent for audit in found)
            print(f"  {check.id}", {k: f"{v / len(found):.4f}" for k, v in sorted(count.items())})
        if world != "related":
            share = np.mean([bool(wrong(world, audit)) for audit in found])
            print(f"  audits with a wrong verdict: {share:.4f}; stated: {ERROR_RATE}")


if __name__ == "__main__":
    main()
