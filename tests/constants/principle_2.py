"""Cases for the constants of principle 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from audit.evidence.kinds import (
    Evidence,
    Executed,
    Faithfulness,
    Ladder,
    RungFaithfulness,
    RungInfo,
    TwinMaps,
)
from audit.result.finding import Finding
from audit.statistics.correlation import spearman_interval
from audit.statistics.proportions import paired_proportion_difference
from tests.constants.row import judged, verdict
from tests.principles.alignment import ROLES, made, with_absent

N = 200
NAMES = ("audited", "faithful", "random", "edges")
NOISE = dict(zip(NAMES, np.random.default_rng(1).normal(size=(4, N)), strict=True))
LEVELS = {"audited": 0.8, "faithful": 0.9, "random": 0.0, "edges": 0.3}
RIGHT = np.arange(N) % 4 != 0
CLASSES = 20
LABELS = np.tile(np.arange(CLASSES), N // CLASSES)
EACH = np.arange(N) // CLASSES  # which pair of its class
RUNGS = 21
NO_LADDER = Ladder((RungInfo("unmodified", "unmodified", 0.0, 0),), 0.0, np.ones((1, N)), {})
NO_RUNGS = RungFaithfulness(np.arange(0), {}, np.ones((1, 0)))
NO_MAPS = TwinMaps(np.arange(0), {})


def _levels(noise: float = 0.1, **changed: object) -> dict[str, np.ndarray]:
    """Explainers of different quality."""
    return {n: (LEVELS | changed)[n] + noise * NOISE[n] for n in NAMES}


def tested(finding: Finding) -> str:
    """Whether there was enough to make a test at all."""
    return "tested" if finding.statistics else "not tested"


def speaks(finding: Finding) -> str:
    """Whether the measure was reliable enough to carry a verdict."""
    text = " ".join([finding.summary, *finding.detail])
    return "silent" if "do not agree enough" in text else "speaks"


def tuned(
    build: Callable[[float], Evidence],
    read: Callable[[Evidence], float],
    wanted: float,
    ends: tuple[float, float],
    *,
    within: float,
) -> Evidence:
    """The evidence at which a reading has the wanted value; it falls from one end to the other."""
    start, end = ends
    for _ in range(40):
        middle = (start + end) / 2
        found = build(middle)
        value = read(found)
        if abs(value - wanted) <= within:
            return found
        start, end = (middle, end) if value > wanted else (start, middle)
    raise AssertionError(f"expected a reading of {wanted}, found {value} at {middle}")


# What each check looks at, the noisier the larger the parameter.


def _ladder(noise: float, *, faithful: float = 0.05) -> Ladder:
    """A ladder whose rungs get worse; maps follow it, more or less."""
    rng = np.random.default_rng(2)
    share = np.linspace(1.0, 0.1, RUNGS)
    infos = [RungInfo("unmodified", "unmodified", 0.0, 0)]
    infos += [RungInfo(f"noise {i}", "weight-noise", i / 10, 0) for i in range(1, RUNGS)]
    by_rung, by_pair = rng.normal(size=(RUNGS, 1)), rng.normal(size=(2, RUNGS, N))
    localization = {
        "audited": share[:, None] + noise * by_rung + 0.05 * by_pair[0],
        "faithful": share[:, None] + faithful * by_pair[1],
        "edges": np.full((RUNGS, N), 0.4),
    }
    correct = rng.random((RUNGS, N)) < share[:, None]
    return Ladder(tuple(infos), 0.0, correct, localization)


def on_ladder(noise: float, **changed: float) -> Evidence:
    """Evidence with a ladder; a picture for each pair."""
    ladder = _ladder(noise, **changed)
    return replace(made(_levels(), per_picture=1), ladder=ladder, rung_faithfulness=NO_RUNGS)


def of_samples(noise: float, *, gain: float = 1.0) -> Evidence:
    """Maps that are better where the model is right, beside model-free ones that are all alike."""
    better = {"audited": gain * RIGHT + noise * NOISE["audited"]}
    better["faithful"] = 2.0 * RIGHT + noise * NOISE["faithful"]
    table = {n: better.get(n, np.full(N, LEVELS[n])) for n in NAMES}
    return made(table, RIGHT, per_picture=1)


def of_classes(noise: float, *, faithful: float = 0.1) -> Evidence:
    """Maps that are better in the classes that the model knows better, twenty of ten pairs each."""
    known = LABELS // 2 + 1.0
    table = {
        "audited": known + noise * np.tile(NOISE["audited"][:CLASSES], N // CLASSES),
        "faithful": known + faithful * NOISE["faithful"],
        "random": NOISE["random"],
        "edges": NOISE["edges"],
    }
    return made(table, known > EACH, labels=LABELS, per_picture=1)


def of_texts(noise: float, *, audited: float = 0.3) -> Evidence:
    """Maps of which the good ones leave the object of an absent text."""
    table = _levels()
    fall = {"audited": audited, "faithful": 0.6, "random": 0.0, "edges": 0.0}
    absent = {n: table[n] - fall[n] - noise * NOISE[n][::-1] for n in NAMES}
    return with_absent(made(table, per_picture=1), absent)


def beside_model_free(noise: float, *, audited: float = 0.8) -> Evidence:
    """Maps beside those that never look at the model."""
    return made(_levels(noise, audited=audited), per_picture=1)


def executed(
    noise: float, *, gain: float = -0.3, wrong: int = 60, known: int = N, twin: str = "twin"
) -> Evidence:
    """An executed model that is wrong about some pictures, and maps beside those of a twin."""
    table = _levels(0.1) | {"audited": LEVELS["faithful"] + gain + noise * NOISE["audited"]}
    table[twin] = np.full(N, LEVELS["faithful"])
    base = made(table, per_picture=1, roles=replace(ROLES, twin=twin))
    right = np.arange(N) < known
    answers = Executed("gradient", right & (np.arange(N) >= wrong), right, 0.1)
    ladder = {"ladder": NO_LADDER, "rung_faithfulness": NO_RUNGS}
    return replace(base, executed=answers, twin_maps=NO_MAPS, **ladder)


EVIDENCE = {
    "P201": on_ladder,
    "P202": of_samples,
    "P203": of_classes,
    "P204": executed,
    "P205": of_texts,
    "P206": beside_model_free,
}
BAR = ("P201", "P202", "P203", "P205", "P206")


# The error rate and the reliability that all of them share.


def error_rate(check: str) -> Callable[[float], str]:
    """The interval of data at a rate ends on the bar: it clears it at the limit, or does not."""
    settled = {"P201": 0.25, "P202": 1.5, "P203": 6.0, "P205": 1.0, "P206": 1.0}

    def decide(rate: float) -> str:
        evidence = EVIDENCE[check](settled[check])
        low = judged(check, evidence, error_rate=rate).statistics[0].interval.low
        none = low + 0.5 if check == "P202" else low
        return verdict(check, evidence, none=none, clear=none + 1e-3, reliability=0.0)

    return decide


def error_rate_of_accuracies(rate: float) -> str:
    """The same of the drop in accuracy of an executed model, whose negligible size is the bar."""
    evidence = executed(0.0, gain=0.3, wrong=20)
    low = judged("P204", evidence, error_rate=rate).statistics[0].interval.low
    return verdict("P204", evidence, negligible_drop=-low)


def control_level(level: float) -> str:
    """A faithful control whose interval at this level ends on the bar."""
    known, rng = np.arange(CLASSES) // 2, np.random.default_rng(8)
    drawn = [known + 4 * rng.normal(size=CLASSES) for _ in range(600)]
    off = [abs(spearman_interval(one, known, level=level).low) for one in drawn]
    nearest = int(np.argmin(off))
    assert off[nearest] < 2e-3
    evidence = of_classes(0.0)
    localization = evidence.class_pairs.localization | {
        "faithful": drawn[nearest][LABELS],
        **{name: np.ones(N) for name in ("random", "edges")},  # nothing to hold fixed
    }
    given = replace(evidence, class_pairs=replace(evidence.class_pairs, localization=localization))
    known_well = {"none": 0.0, "clear": 1e-6}  # an interval above zero passes
    found = judged("P203", given, reliability=0.0, **known_well)
    return "silent" if "no faithful control" in found.summary else "speaks"


def reliability(check: str) -> Callable[[float], str]:
    """A measure of such a reliability."""
    builders = {
        "P201": lambda noise: on_ladder(0.1, faithful=noise),
        "P203": _noisy_classes,
        "P204": lambda noise: _noisy(executed(0.0), noise),
    }

    def read(evidence: Evidence) -> float:
        found = judged(check, evidence)
        gate = next(s for s in found.statistics if s.name.startswith("reliability"))
        return gate.value

    def decide(wanted: float) -> str:
        build = builders.get(check, EVIDENCE[check])
        evidence = tuned(build, read, wanted, (0.05, 40.0), within=8e-3)
        return speaks(judged(check, evidence))

    return decide


def _noisy_classes(noise: float) -> Evidence:
    """Maps of classes that are known more or less well, all with more noise than one tells by."""
    evidence, rng = of_classes(0.0), np.random.default_rng(13)
    localization = {
        name: 0.1 * values + noise * rng.normal(size=N)
        for name, values in evidence.class_pairs.localization.items()
    }
    return replace(evidence, class_pairs=replace(evidence.class_pairs, localization=localization))


def _noisy(evidence: Evidence, noise: float) -> Evidence:
    localization = {
        name: {"average precision": values["average precision"] + noise * row}
        for (name, values), row in zip(
            evidence.explanations.localization.items(),
            np.random.default_rng(9).normal(size=(5, N)),
            strict=True,
        )
    }
    return replace(evidence, explanations=replace(evidence.explanations, localization=localization))


# Bars of single checks.


def _end(check: str, side: str) -> Callable[[Evidence], float]:
    def read(evidence: Evidence) -> float:
        return getattr(judged(check, evidence, reliability=0.0).statistics[0].interval, side)

    return read


def _at_an_end(
    check: str, side: str, build: Callable[[float], Evidence], ends: tuple[float, float]
) -> Callable[[float], str]:
    """Evidence whose interval ends at a value, tuned."""

    def decide(wanted: float) -> str:
        found = tuned(build, _end(check, side), wanted, ends, within=0.02)
        return verdict(check, found, reliability=0.0)

    return decide


def _without_order(share: float) -> Evidence:
    """A ladder that the maps follow in a share of its rungs at random."""
    ladder, rng = _ladder(0.0), np.random.default_rng(11)
    mixed = rng.permutation(np.linspace(1.0, 0.1, RUNGS))
    quality = (1 - share) * mixed + share * np.linspace(0.1, 1.0, RUNGS)
    localization = ladder.localization | {"audited": quality[:, None] + 0.05 * NOISE["random"]}
    return replace(on_ladder(0.0), ladder=replace(ladder, localization=localization))


correlation_over_rungs = _at_an_end("P201", "low", on_ladder, (0.0, 2.0))
no_correlation_over_rungs = _at_an_end("P201", "high", _without_order, (-0.6, 1.0))
correlation_over_classes = _at_an_end("P203", "low", of_classes, (0.0, 60.0))


def area(value: float) -> str:
    """An interval that ends so low, where model-free maps have no area."""
    found = tuned(_weaker, _end("P202", "low"), value - 0.5, (0.0, 3.0), within=4e-3)
    return verdict("P202", found)


def area_that_counts(value: float) -> str:
    """An interval that ends so high."""
    found = tuned(_weaker, _end("P202", "high"), value - 0.5, (1.0, 4.0), within=4e-3)
    return verdict("P202", found)


def _weaker(loss: float) -> Evidence:
    return of_samples(1.0, gain=2.0 - loss)


def correlation_of_classes_that_counts(value: float) -> str:
    """An interval that ends so high, of what noise leaves of a correlation."""

    def build(turned: float) -> Evidence:
        known = LABELS // 2 + 1.0
        order = np.random.default_rng(12).permutation(CLASSES)[LABELS]
        quality = order - turned * known
        table = {"audited": quality, "faithful": known + 0.1 * NOISE["faithful"]}
        table |= {"random": NOISE["random"], "edges": NOISE["edges"]}
        return made(table, known > EACH, labels=LABELS, per_picture=1)

    def read(evidence: Evidence) -> float:
        first = judged("P203", evidence, reliability=0.0).statistics[0]
        return first.interval.high - first.clear + 0.5

    found = tuned(build, read, value, (-1.0, 4.0), within=0.03)
    return verdict("P203", found, reliability=0.0)


def _between(check: str, build: Callable[[float], Evidence], side: str) -> Callable[[float], str]:
    """A difference whose interval ends at a value on one side; it moves as the difference does.

    The interval is that of a clear verdict, as the level of others may be another.
    """
    far = 1.0 if side == "low" else -1.0

    def decide(value: float) -> str:
        end = _end(check, side)(build(far)) - far
        return verdict(check, build(value - end), reliability=0.0)

    return decide


fall_under_absent_text = _between("P205", lambda d: of_texts(0.3, audited=d), "low")
fall_that_counts = _between("P205", lambda d: of_texts(0.3, audited=d), "high")


def _over_the_edges(spread: float) -> Callable[[float], Evidence]:
    def build(gain: float) -> Evidence:
        evidence = beside_model_free(0.1)
        edges = evidence.explanations.localization["edges"]["average precision"]
        ours = edges + gain + spread * NOISE["audited"]
        localization = evidence.explanations.localization | {"audited": {"average precision": ours}}
        return replace(
            evidence, explanations=replace(evidence.explanations, localization=localization)
        )

    return build


gain_over_model_free = _between("P206", _over_the_edges(0.3), "low")
gain_that_counts = _between("P206", _over_the_edges(0.3), "high")


def accuracy_spread(spread: float) -> str:
    """A ladder over which accuracy varies so much."""
    ladder = _ladder(0.0)
    share = np.linspace(1.0, 1.0 - spread, RUNGS)
    correct = np.arange(N) < np.round(share * N)[:, None]
    found = judged("P201", replace(on_ladder(0.0), ladder=replace(ladder, correct=correct)))
    return tested(found)


def identity_error(error: float) -> str:
    """A first rung whose scores differ from the model's by so much."""
    ladder = replace(_ladder(0.0), identity_error=error)
    return verdict("P201", replace(on_ladder(0.0), ladder=ladder))


def quality_range(size: float) -> str:
    """Maps whose quality follows the ladder, over so small a range."""
    ladder = _ladder(0.0)
    shares = np.linspace(size, 0.0, RUNGS)[:, None] + np.zeros(N)
    localization = ladder.localization | {"audited": shares}
    return verdict(
        "P201", replace(on_ladder(0.0), ladder=replace(ladder, localization=localization))
    )


def rungs_with_quality(count: int) -> str:
    """A ladder on which the audited maps have a faithfulness on so many rungs."""
    ladder = _ladder(0.0)
    known = np.where(np.arange(RUNGS) < count, 1.0, np.nan)[:, None]
    gaps = {n: v.copy() for n, v in ladder.localization.items()}
    gaps["audited"] *= known
    rungs = RungFaithfulness(np.arange(N), gaps, np.ones((RUNGS, N)))
    evidence = replace(
        on_ladder(0.0), ladder=replace(ladder, localization={}), rung_faithfulness=rungs
    )
    return tested(judged("P201", evidence))


def pictures_of_each(count: int) -> str:
    """A model that is wrong about so many pictures."""
    return tested(judged("P202", made(_levels(), np.arange(N) >= count, per_picture=1)))


def _classes(count: int, each: int) -> str:
    labels = np.tile(np.arange(count), each)
    right = np.tile(np.arange(each), (count, 1)).T.ravel() < labels % each + 1
    table = {n: v[: len(labels)] for n, v in _levels().items()}
    return tested(judged("P203", made(table, right, labels=labels, per_picture=1)))


def pairs_of_a_class(each: int) -> str:
    """Many classes of so many pairs."""
    return _classes(CLASSES, each)


def classes(count: int) -> str:
    """So many classes of many pairs."""
    return _classes(count, 10)


def drop_of_accuracy(size: float) -> str:
    """An executed model whose drop is no larger than this, with its whole interval."""
    outcomes = {
        wrong: paired_proportion_difference(np.arange(2000) >= wrong, np.ones(2000, bool), 0.9)
        for wrong in range(15, 45)
    }
    wrong = min(outcomes, key=lambda w: abs(outcomes[w].low + size))
    base = made({n: np.resize(v, 2000) for n, v in _levels().items()}, per_picture=1)
    base = replace(base, ladder=NO_LADDER, rung_faithfulness=NO_RUNGS, twin_maps=NO_MAPS)
    answers = Executed("gradient", np.arange(2000) >= wrong, np.ones(2000, bool), 0.1)
    return verdict("P204", replace(base, executed=answers))


def gain_of_a_worse_model(size: float) -> str:
    """Maps of a worse model whose gain over those of a twin ends so high."""
    high = judged("P204", executed(0.1)).statistics[0].interval.high
    return verdict("P204", executed(0.1, gain=-0.3 - high + size))


def times_chance(factor: float) -> str:
    """A model that is right so many times as often as a guess."""
    chance = executed(0.0).reference.chance
    evidence = executed(0.0, known=round(factor * chance * N))
    return tested(judged("P204", evidence))


def score_range(share: float) -> str:
    """A pair whose full and empty scores lie so far apart, of what is usual."""
    evidence = made(None, faithfulness=_levels(), per_picture=1)
    measured: Faithfulness = evidence.faithfulness
    span = np.where(np.arange(N) == 0, share, 1.0)
    found = judged("P206", replace(evidence, faithfulness=replace(measured, span=span)))
    return f"{found.statistics[0].n} pictures"
