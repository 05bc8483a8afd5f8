"""Looking at evidence while it grows, and stopping when the checks are settled."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from audit.evidence.context import Context
from audit.evidence.growth import PER_PAIR, together
from audit.gathering import Gathered, gather, load_evidence, read_key
from audit.judging import ERROR_RATE, judge_all
from audit.multiplicity import SETTLED
from audit.result import CheckResult, Failure, Verdict
from audit.statistics.spending import look_sizes, spent_shares

PLAN = "looks.json"
_LEAST_PROBED = 8


@dataclass(frozen=True)
class Judged:
    """What the checks found, at which look each was settled, and the evidence of the last look."""

    results: list[CheckResult]
    broken: list[Failure]
    gathered: Gathered
    looks: int


def looked_at(
    context: Context, needs: frozenset[str], folder: Path, key: str, *, resume: bool
) -> Iterator[Gathered]:
    """Evidence of more and more pairs; each pair is measured once, and finished blocks are reused.

    Args:
        context: with all pairs of the budget.
        needs: kinds of evidence.
        folder: each block of pairs keeps its evidence in a folder of its own there.
        key: identifies model, data, explainer and settings.
        resume: use finished evidence of the same key.
    """
    blocks = picture_blocks(context.pairs.picture.numpy(), look_sizes(len(context.pairs)))
    folder.mkdir(parents=True, exist_ok=True)
    sizes = np.cumsum([len(block) for block in blocks]).tolist()
    least = 1 if context.pairs.masks is not None else _LEAST_PROBED
    probed = probed_at_looks(context.sizes.probed, sizes, least)
    (folder / PLAN).write_text(json.dumps({"pairs": sizes}))
    whole: Gathered | None = None
    for number, (block, probes) in enumerate(zip(blocks, probed, strict=True), 1):
        own = dataclasses.replace(
            context,
            pairs=context.pairs.select(block),
            sizes=dataclasses.replace(context.sizes, probed=probes),
        )
        given: dict[str, Any] = {}
        if whole is not None:
            ladder = whole.evidence.ladder
            own = dataclasses.replace(own, rungs=ladder.rungs if ladder else ())
            given = {"trace": whole.evidence.trace}
        wanted = needs if whole is None else needs & PER_PAIR
        place = folder / f"look-{number}"
        found = gather(own, wanted, place, f"{key}-{number}", resume=resume, given=given)
        whole = found if whole is None else _joined(whole, found)
        yield whole


def probed_at_looks(most: int, sizes: Sequence[int], least: int = 1) -> list[int]:
    """Pairs whose faithfulness is measured anew at each look, ``most`` in all at the budget.

    In proportion to the pairs, so that a look costs no more a pair than a fixed sample does:
    faithfulness takes most of the passes.

    Args:
        most: at the budget.
        sizes: pairs at each look.
        least: at each look, where it has that many pairs; more where faithfulness decides, since
            no forecast can be made from two or three pairs.
    """
    total = [min(math.ceil(most * size / sizes[-1]), size) for size in sizes]
    new = [b - a for a, b in itertools.pairwise([0, *sizes])]
    parts = [b - a for a, b in itertools.pairwise([0, *total])]
    return [max(part, min(least, block)) for part, block in zip(parts, new, strict=True)]


def saved_looks(folder: Path) -> Iterator[Gathered] | None:
    """The evidence at each finished look of an audit, None where it was not taken in looks."""
    if not (folder / PLAN).is_file():
        return None
    return _saved(folder)


def planned(folder: Path) -> list[int]:
    """Pairs at each look that was planned; a single one where all were gathered at once."""
    if not (folder / PLAN).is_file():
        return [1]
    return [int(n) for n in json.loads((folder / PLAN).read_text())["pairs"]]


def forget_looks(folder: Path) -> None:
    """Before evidence is gathered at once: what was planned in looks holds no more."""
    (folder / PLAN).unlink(missing_ok=True)


def judge_by_looks(
    checks: Sequence[Any],
    looks: Iterable[Gathered],
    pairs: Sequence[int],
    *,
    severity: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, float]],
) -> Judged:
    """Judge at every look until each check is settled, or more pairs within reach settle none.

    A check keeps the verdict of the look that settled it. Each look spends its share of the error
    rate (`audit.statistics.spending`), shared among the checks still open by Holm's procedure, so
    that the chance of any wrong verdict at any look keeps the error rate. Giving up early, on a
    check that would need more pairs than there are, makes no verdict and costs none of it.

    Args:
        checks: see `principles.check.Check`.
        looks: evidence, growing; what is not needed is never asked for.
        pairs: at each look that was planned.
        severity: overrides by check.
        thresholds: overrides by check and name.
    """
    judge = partial(judge_all, severity=severity, thresholds=thresholds)
    tested = [c for c in checks if ERROR_RATE in c.thresholds]
    settled: dict[str, CheckResult] = {}
    latest: dict[str, CheckResult] = {}
    broken: list[Failure] = []
    number, gathered = 0, None
    shares = spent_shares([n / pairs[-1] for n in pairs])
    for number, (share, gathered) in enumerate(zip(shares, looks, strict=False), 1):
        left = [c for c in tested if c.id not in settled]
        judged, failed = judge(left, gathered.evidence, gathered.failures, share=share)
        broken += failed
        latest |= {r.id: r for r in judged}
        settled |= {r.id: r for r in judged if r.finding.verdict is not Verdict.INCONCLUSIVE}
        open_, to_come = [c for c in left if c.id not in settled], shares[number:]
        if not open_ or not to_come:
            break
        # at the largest share still to come: a forecast makes no verdict, and costs no error rate
        forecast, _ = judge(open_, gathered.evidence, gathered.failures, share=max(to_come))
        if not any(_may_settle(r, pairs[-1]) for r in forecast):
            break
    if gathered is None:
        raise ValueError("expected evidence of one look or more, got none")
    others = [c for c in checks if ERROR_RATE not in c.thresholds]
    rest, failed = judge(others, gathered.evidence, gathered.failures)
    latest |= {r.id: r for r in rest}
    return Judged([latest[c.id] for c in checks], [*broken, *failed], gathered, number)


def stopping_words(looks: int, pairs: Sequence[int]) -> str:
    """When the audit stopped, and why its error rate holds."""
    why = "every check is settled, or would need more pairs than there are"
    end = why if looks < len(pairs) else "that was the budget"
    return (
        f"Stopped after {pairs[looks - 1]:,} of at most {pairs[-1]:,} pairs, at look {looks} of "
        f"{len(pairs)}: {end}. Each look spent its share of the error rate (Lan and DeMets 1983)."
    )


def picture_blocks(picture: Any, sizes: Sequence[int]) -> list[list[int]]:
    """Pairs in blocks that end near the given sizes, all pairs of a picture in one block."""
    order = np.argsort(picture, kind="stable")
    starts = np.flatnonzero(np.diff(picture[order], append=-1)) + 1
    nearest = np.minimum(np.searchsorted(starts, np.array(sizes)), len(starts) - 1)
    ends = np.unique(starts[nearest]).tolist()
    return [order[a:b].tolist() for a, b in itertools.pairwise([0, *ends])]


def _may_settle(forecast: CheckResult, budget: int) -> bool:
    """Whether pairs within the budget may settle a check, by a forecast of what it will find."""
    finding = forecast.finding
    if finding.verdict in SETTLED:
        return True
    if finding.verdict is not Verdict.INCONCLUSIVE or not finding.more_pairs_help:
        return False
    if finding.pairs_to_settle is None:
        return bool(finding.statistics)  # without one, not even a test was possible
    return finding.pairs_to_settle <= budget


def _joined(one: Gathered, two: Gathered) -> Gathered:
    seconds = dict(one.seconds)
    for kind, spent in two.seconds.items():
        seconds[kind] = seconds.get(kind, 0.0) + spent
    evidence = together(one.evidence, two.evidence)
    return Gathered(evidence, (*one.failures, *two.failures), seconds)


def _saved(folder: Path) -> Iterator[Gathered]:
    whole: Gathered | None = None
    for number in range(1, len(planned(folder)) + 1):
        place = folder / f"look-{number}"
        if not (place / "roles.json").is_file() or not _goes_on(place, folder, number):
            return
        found = Gathered(load_evidence(place), (), {})
        whole = found if whole is None else _joined(whole, found)
        yield whole


def _goes_on(place: Path, folder: Path, number: int) -> bool:
    """Whether a look is finished, and of the same audit as the first one.

    What an earlier audit left behind, or an interrupted look, is no evidence.
    """
    first, own = read_key(folder / "look-1"), read_key(place)
    if number == 1 or first is None or own is None:
        return number == 1
    if own.removesuffix(f"-{number}") != first.removesuffix("-1"):
        return False
    kinds = [k for k in PER_PAIR if (folder / "look-1" / f"{k}.json").is_file()]
    return all((place / f"{kind}.json").is_file() for kind in kinds)
