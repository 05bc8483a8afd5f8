"""Wrong verdicts, and power, of the real checks of principle 2 on simulated audits.

``python -m tests.calibration [--audits 2000] [--world none] [--looks]`` judges simulated audits by
P201 to P206 as they are, with Holm's procedure, controls and reliability, and prints how often each
check passed, was violated, and was wrong, beside the stated error rate; with ``--looks`` look by
look, as ``audit check --samples auto`` does. Worlds:

- ``none``: no relation, so that a pass is wrong. The maps never look at the model but follow the
  ease of the picture, as the edges do, and so does whether the model is right (P202); P201: no
  correlation over rungs; P203: none over classes; P204: a model that is worse by what is negligible
  and whose maps are better by that; P205: nothing changes under an absent text; P206: as good as
  the edges.
- ``clear``: the least relation that counts, so that a violation is wrong; the maps follow the ease
  of the picture as well.
- ``related``: maps that follow the model well; every pass is right.

Measured over 2,000 audits at once: ``none`` 3.8 % with a wrong pass, ``clear`` 4.1 % with a wrong
violation; no number differed from its verdict; of the clear relations P201 to P206 passed in 27,
62, 80, 100, 100 and 68 %. Ten minutes of a core each. Look by look, 2,000 audits each: 2.7 % with
a wrong pass and 1.8 % with a wrong violation, of the clear relations 10, 53, 61, 100, 100 and 60 %
passed; 35 minutes of a core each.

p-values take no part in verdicts and are left out; bootstraps draw `RESAMPLES` or what the level of
the interval asks for, reliability `SPLITS`. The suite judges fewer (`tests/judging`).
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
from scipy import stats

from audit.evidence.chosen_pairs import chosen_by_margin
from audit.evidence.interim_looks import Looks
from audit.evidence.kinds import (
    ChosenPairs,
    ClassPairs,
    Evidence,
    Executed,
    Explanations,
    Ladder,
    Performance,
    RungFaithfulness,
    RungInfo,
    TwinMaps,
)
from audit.evidence.plan import Gathered
from audit.judging.group_sequential import judge_by_looks
from audit.judging.judge_all import judge_all
from audit.result.finding import Finding, Verdict
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult, Failure
from audit.statistics import bootstrap, ladder_trend, paired
from audit.statistics.spending import look_sizes
from principles.catalogue import all_checks
from principles.performance_alignment import (
    gain_figures,
    p202_tracks_samples,
    p205_text_specific,
    p206_beats_model_free,
    reliability,
    rung_correlation,
    sample_leads,
    specificity_drops,
)
from tests.principles.alignment import ROLES, made, with_absent

RESAMPLES, SPLITS, ERROR_RATE = 300, 60, 0.05
CLASSES, EACH, TIMES, PER_PAIR = 20, 6, 10, 4  # as in an audit
NAMES, MAPS, SEEN = 96, 3, 50  # of P203: classes by all names, maps of each, pairs seen
N, PICTURES = CLASSES * EACH, CLASSES * EACH // 2
CHECKS = [c for c in all_checks() if c.principle == 2]
WRONG = {"none": Verdict.PASS, "clear": Verdict.VIOLATION, "related": Verdict.VIOLATION}
NOISE = 0.1  # of a pair's quality; half of it is shared by the pairs of a picture
TWIN = replace(ROLES, twin="twin")


@dataclass(frozen=True)
class Effects:
    """What is true of the audited maps.

    Attributes:
        rungs: rank correlation of a rung's quality with its accuracy, within families.
        samples: what being right adds to the quality of a map, over its noise; 0.35 is a lead of
            the adjusted area of 0.10, measured over 48,000 pairs.
        classes: rank correlation over classes of true quality with true accuracy.
        leaves: difference in localization under an absent text.
        gain: over the edge detector.
        drop: of the executed model's accuracy.
        better: its maps than those of the twin.
    """

    rungs: float
    samples: float
    classes: float
    leaves: float
    gain: float
    drop: float
    better: float


EFFECTS = {
    "none": Effects(0.0, 0.0, 0.0, 0.0, 0.0, drop=0.02, better=0.02),
    "clear": Effects(0.5, 0.35, 0.5, 0.04, 0.04, drop=0.3, better=0.0),
    "related": Effects(0.99, 1.5, 0.95, 0.15, 0.15, drop=0.3, better=-0.1),
}
Noise = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Data:
    """Many pairs: what is easy, which class each shows, and the model's margin."""

    labels: np.ndarray
    ease: np.ndarray
    margins: np.ndarray
    known: np.ndarray

    @property
    def picture(self) -> np.ndarray:
        """Two pairs a picture."""
        return np.arange(len(self.labels)) // 2


def data(rng: np.random.Generator, count: int) -> Data:
    """Pairs of which the model is right about 73 in a hundred."""
    labels = np.concatenate(
        [rng.permutation(np.repeat(np.arange(CLASSES), EACH)) for _ in range(count // N)]
    )
    ease = np.repeat(rng.normal(size=count // 2), 2)
    known = rng.permutation(np.linspace(-1.0, 1.0, CLASSES))
    margins = ease + known[labels] + rng.normal(size=count) + 1.0
    return Data(labels, ease, margins, known)


def qualities(
    effects: Effects, found: Data, at: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Localization of the maps of some pairs, per explainer."""
    right, ease = found.margins[at] > 0, found.ease[at]
    index = np.unique(found.picture[at], return_inverse=True)[1]

    def noise() -> np.ndarray:
        shared = rng.normal(size=index.max() + 1)[index]
        return NOISE * np.sqrt(0.5) * (shared + rng.normal(size=len(at)))

    mine = effects.samples * (right - (found.margins > 0).mean()) + ease
    table = {
        "audited": 0.5 + NOISE * mine + effects.gain + noise(),
        "faithful": 0.7 + 0.3 * right + 0.3 * found.known[found.labels[at]] + noise(),
        "random": noise(),
        "edges": 0.5 + NOISE * ease + noise(),
    }
    return table | {"twin": table["audited"] - effects.better + 0.1 * noise()}


def evidence(effects: Effects, rng: np.random.Generator) -> Evidence:
    """Evidence of one simulated audit."""
    found, every = data(rng, TIMES * N), np.arange(N)
    quality = qualities(effects, found, every, rng)
    absent = dict(quality)
    for name, leaves in (("audited", effects.leaves), ("faithful", 0.5)):
        absent[name] = quality[name] - leaves + 0.7 * NOISE * rng.normal(size=N)
    built = with_absent(
        made(quality, found.margins[:N] > 0, labels=found.labels[:N], roles=TWIN), absent
    )
    chosen = chosen_by_margin(found.margins, PER_PAIR * N, rng)
    classifies = rng.random(PICTURES) < 0.9
    executed = Executed(
        "gradient", classifies & (rng.random(PICTURES) > effects.drop), classifies, 0.1
    )
    ladder = _ladder(effects, quality, rng)
    both = qualities(effects, found, np.arange(TIMES * N), rng)
    return replace(
        built,
        performance=Performance(found.margins, found.labels, chosen),
        chosen_pairs=ChosenPairs(
            tuple(f"chosen-{i}" for i in chosen), found.picture[chosen], found.margins[chosen],
            np.zeros(len(chosen)), qualities(effects, found, chosen, rng),
        ),
        class_pairs=_class_pairs(effects, rng),
        executed=executed,
        twin_maps=TwinMaps(found.picture, {n: both[n] for n in ("audited", "twin")}),
        ladder=ladder,
        rung_faithfulness=RungFaithfulness(np.zeros(0, int), {}, np.ones((len(ladder.rungs), 0))),
    )  # fmt: skip


def _class_pairs(effects: Effects, rng: np.random.Generator) -> ClassPairs:
    """A few maps of each of many classes, some of which are easier to see than others."""
    ease, latent, other = rng.normal(size=(3, NAMES))
    r = 2 * np.sin(np.pi * effects.classes / 6)  # of normal numbers with this rank correlation
    follows = r * latent + np.sqrt(1 - r * r) * other
    share = stats.norm.cdf(0.25 * ease + 1.5 * latent)
    index = np.repeat(np.arange(NAMES), MAPS)

    def quality(of_class: np.ndarray) -> np.ndarray:
        """Of which two thirds of the variance within a class are noise."""
        return 0.5 + NOISE * (of_class[index] + 1.4 * rng.normal(size=len(index)))

    return ClassPairs(
        tuple(f"name {i}" for i in range(NAMES)), np.arange(NAMES), np.full(NAMES, SEEN),
        rng.binomial(SEEN, share), tuple(f"pair {i}" for i in range(len(index))), index,
        np.arange(len(index)), np.zeros(len(index)),
        {
            "audited": quality(follows + 0.5 * ease),
            "faithful": 0.3 + quality(2 * latent + 0.5 * ease),
            "random": quality(np.zeros(NAMES)) - 0.5,
            "edges": quality(ease) - 0.2,
            "twin": quality(follows + 0.5 * ease),
        },
        NAMES,
    )  # fmt: skip


def first(whole: Evidence, pairs: int) -> Evidence:
    """The evidence of the first pairs."""
    reference, ladder, executed = whole.reference, whole.ladder, whole.executed
    own, other, chosen = whole.explanations, whole.text_specificity, whole.chosen_pairs
    assert None not in (reference, ladder, executed, own, other, chosen)
    pictures, drawn = int(reference.picture[pairs - 1]) + 1, round(len(chosen.ids) * pairs / N)
    shown = replace(
        reference, ids=reference.ids[:pairs], texts=reference.texts[:pairs],
        picture=reference.picture[:pairs], labels=reference.labels[:pairs],
        present=reference.present[:pictures], scores=reference.scores[:pictures],
    )  # fmt: skip
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
            executed, correct=executed.correct[:pictures],
            model_correct=executed.model_correct[:pictures],
        ),
        chosen_pairs=ChosenPairs(
            chosen.ids[:drawn], chosen.cluster[:drawn], chosen.margins[:drawn],
            chosen.area[:drawn], _first(chosen.localization, drawn),
        ),
        class_pairs=_first_classes(whole.class_pairs, round(NAMES * pairs / N)),
    )  # fmt: skip


def _first_classes(every: ClassPairs, count: int) -> ClassPairs:
    rows = MAPS * count
    return replace(
        every, classes=every.classes[:count], labels=every.labels[:count],
        pairs=every.pairs[:count], right=every.right[:count], ids=every.ids[:rows],
        index=every.index[:rows], cluster=every.cluster[:rows], area=every.area[:rows],
        localization=_first(every.localization, rows),
    )  # fmt: skip


def _first(table: dict[str, np.ndarray], pairs: int) -> dict[str, np.ndarray]:
    return {name: values[:pairs] for name, values in table.items()}


def _named(
    tables: dict[str, dict[str, np.ndarray]], pairs: int
) -> dict[str, dict[str, np.ndarray]]:
    return {name: _first(table, pairs) for name, table in tables.items()}


def _ladder(effects: Effects, quality: dict[str, np.ndarray], rng: np.random.Generator) -> Ladder:
    """Fourteen rungs, as of the default audit, whose true accuracies and qualities are drawn."""
    families = ["unmodified"] + 6 * ["weight-noise"] + 2 * ["random-blocks"] + 5 * ["checkpoint"]
    rungs = tuple(RungInfo(f"{f} {i}", f, float(i), 0) for i, f in enumerate(families))
    latent = rng.normal(size=(2, len(rungs)))
    r = 2 * np.sin(np.pi * effects.rungs / 6)
    level = r * latent[0] + np.sqrt(1 - r * r) * latent[1]
    share = 0.05 + 0.9 * stats.norm.cdf(latent[0])
    draws = rng.random((len(rungs), PICTURES))
    rows = {
        "audited": quality["audited"] + 0.2 * (level - level[0])[:, None],
        "faithful": quality["faithful"] + (share - share[0])[:, None],
    }
    rows = {n: row + 0.3 * NOISE * rng.normal(size=row.shape) for n, row in rows.items()}
    for name in ("random", "edges"):
        rows[name] = np.tile(quality[name], (len(rungs), 1))
    return Ladder(rungs, 0.0, draws < share[:, None], rows)


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Fewer draws, and no p-values, which take no part in verdicts."""
    with contextlib.ExitStack() as stack:
        for module in (
            rung_correlation, sample_leads, specificity_drops, p206_beats_model_free,
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(module, "RESAMPLES", RESAMPLES))
        for module, name, instead in (
            (reliability, "SPLITS", SPLITS),
            (p202_tracks_samples, "auroc_permutation", lambda *_, **__: None),
            (p202_tracks_samples.figures, "curve", lambda table, _: _no_figure(table)),
            (ladder_trend, "permutation_table", lambda n, *_: (np.arange(n)[None], True)),
            (paired, "sign_flip", lambda *_, **__: 1.0),
            (bootstrap, "draw_weights", _drawn_once(bootstrap.draw_weights)),
            (ladder_trend, "draw_weights", _drawn_once(bootstrap.draw_weights)),
            (p205_text_specific, "flipped", lambda estimate, *_: estimate),
            (gain_figures, "flipped", lambda estimate, *_: estimate),
        ):
            stack.enter_context(mock.patch.object(module, name, instead))
        yield


def _drawn_once(draw):
    """Draws that are kept, as those of one size begin with the same seed in every audit.

    As bytes: no unit is drawn more than 255 times.
    """
    kept: dict[tuple, tuple] = {}

    def drawn(n: int, resamples: int, rng: np.random.Generator):
        key = (n, resamples, str(rng.bit_generator.state))
        if key not in kept:
            weights = draw(n, resamples, rng)
            assert weights.max() <= np.iinfo(np.uint8).max
            kept[key] = weights.astype(np.uint8), rng.bit_generator.state
        weights, rng.bit_generator.state = kept[key]
        return weights.astype(np.float64)

    return drawn


def _no_figure(table) -> p202_tracks_samples.figures.ScatterFigure:
    return p202_tracks_samples.figures.ScatterFigure(
        title=table.measure.name, caption="", x_label="", y_label="", series=[]
    )


@dataclass(frozen=True)
class Found:
    """What a check found, whether controls or reliability silenced it, and its number."""

    verdict: Verdict
    silent: bool
    statistic: Statistic | None = None

    @property
    def agrees(self) -> bool:
        """Whether the interval that is shown, and the estimate, say what the verdict does."""
        if self.silent or self.statistic is None or self.statistic.interval is None:
            return self.verdict is Verdict.INCONCLUSIVE
        return verdict_of(self.statistic) is self.verdict


def verdict_of(shown: Statistic) -> Verdict:
    """What a reader of a number, its interval and its zone concludes."""
    none = shown.threshold if shown.none is None else shown.none
    clear = shown.threshold if shown.clear is None else shown.clear
    sign = 1 if shown.good_side == "above" else -1
    ends = sorted((sign * shown.interval.low, sign * shown.interval.high))
    middle = sign * (none + clear) / 2
    if ends[0] > sign * none and sign * shown.value >= middle:
        return Verdict.PASS
    if ends[1] < sign * clear and sign * shown.value <= middle:
        return Verdict.VIOLATION
    return Verdict.INCONCLUSIVE


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
    number = finding.statistics[0] if finding.statistics else None
    return Found(finding.verdict, "othing can be said" in finding.summary, number)


def wrong(world: str, audit: dict[str, Found]) -> set[str]:
    """Checks whose verdict is wrong in this world."""
    return {name for name, found in audit.items() if found.verdict is WRONG[world]}


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=2000)
    parser.add_argument("--world", choices=sorted(EFFECTS), action="append")
    parser.add_argument("--looks", action="store_true", help="judge look by look")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for world in chosen.world or sorted(EFFECTS):
        started = time.process_time()
        found = judged(world, chosen.audits, chosen.seed, by_looks=chosen.looks)
        seconds = time.process_time() - started
        print(f"{world}: {len(found)} audits, {seconds:.0f} s, {EFFECTS[world]}")
        for check in CHECKS:
            count = Counter(audit[check.id].verdict.value for audit in found)
            count["silenced"] = sum(audit[check.id].silent for audit in found)
            count["number and verdict differ"] = sum(not a[check.id].agrees for a in found)
            print(f"  {check.id}", {k: f"{v / len(found):.4f}" for k, v in sorted(count.items())})
        share = np.mean([bool(wrong(world, audit)) for audit in found])
        print(
            f"  audits with a wrong {WRONG[world]}: {share:.4f}; stated: {ERROR_RATE}", flush=True
        )


if __name__ == "__main__":
    main()
