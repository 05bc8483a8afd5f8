"""P106 invariant-to-reparametrization.

What it does: Edits the weights so that the model's function provably stays (key-bias shift,
compensated value-bias shift, query/key rotation and mixing, value/output mixing, orders of heads
and neurons, LayerNorm folding, joint rotation of the projections), proves it by the scores in this
very run, and compares the maps before and after. A map has moved where its relative change exceeds
0.001 and ten times what a few roundings of the weights do to it, on a fifth of the pairs or more.
The weight of a violation is a warning, and an error where the mean rank correlation falls below
0.9. Shifts of a bias never weigh more than a warning: they have no natural size, and a larger one
moves any map that is not invariant as far as one likes.

Why it matters: Two models that give the same answers to every input must get the same explanation.
A map that depends on how the weights happen to be written down explains the file, not the model.

What a pass does not show: That the map is right: a map that ignores the model never moves either.
See P107 and P108.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import EditedMaps, Evidence, Reference, Reparametrization, Roles
from audit.result.schema import Finding, PairFigure, Severity, Statistic, TableFigure, Verdict
from audit.trace.records import Array
from principles.check import Check, Thresholds
from principles.finding_parts import listed, number, pair_figure, percent, plural, witness

SHIFTS = ("key-bias", "value-bias")
MOVED, STAYED, UNPROVEN, NUMERICS = "moved", "stayed", "not proven", "numerics"


@dataclass(frozen=True)
class _Measured:
    """The evidence, the pairs that can be judged, and what became of the map under each edit."""

    found: Reparametrization
    steady: Array
    states: tuple[str, ...]

    def of(self, state: str) -> list[EditedMaps]:
        """The edits under which the map came out so."""
        return [e for e, s in zip(self.found.entries, self.states, strict=True) if s == state]

    def change(self, entry: EditedMaps) -> float:
        """Median relative change of the maps."""
        return float(np.median(entry.relative_l2[self.steady]))

    def correlation(self, entry: EditedMaps) -> float:
        """Mean rank correlation; 0 for a map that became constant, 1 for one that stayed so."""
        ranks, change = entry.rank_correlation[self.steady], entry.relative_l2[self.steady]
        return float(np.where(np.isnan(ranks), change == 0, ranks).mean())


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where an edit that keeps the scores moves the maps."""
    found, reference, roles = evidence.reparametrization, evidence.reference, evidence.roles
    assert found is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    if roles.model_free:
        summary = "The explainer declares that it never looks at the model; no edit can move it."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    limits = _limits(found.noise, thresholds)
    steady = limits <= float(thresholds["largest_limit"])
    if 2 * steady.sum() < len(steady):
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=_unsteady(found, steady))
    states = tuple(_state(found, e, limits, steady, thresholds) for e in found.entries)
    measured = _Measured(found, steady, states)
    statistics, table = [_statistic(measured, thresholds)], _table(measured)
    if MOVED in states:
        return _violation(measured, reference, roles, statistics, table, thresholds)
    verdict, summary = _verdict(measured)
    return Finding(verdict=verdict, summary=summary, statistics=statistics, figures=[table])


def _limits(noise: Array, thresholds: Thresholds) -> Array:
    """Change of each pair's map that is no finding."""
    factor = float(thresholds["noise_factor"])
    return np.maximum(float(thresholds["relative_change"]), factor * np.asarray(noise))


def _state(
    found: Reparametrization,
    entry: EditedMaps,
    limits: Array,
    steady: Array,
    thresholds: Thresholds,
) -> str:
    if not entry.score_change <= found.tolerance:
        return UNPROVEN
    least = float(thresholds["least_share"])
    if (entry.control > _limits(found.control_noise, thresholds)).mean() >= least:
        return NUMERICS
    beyond = entry.relative_l2[steady] > limits[steady]
    return MOVED if beyond.mean() >= least else STAYED


def _verdict(measured: _Measured) -> tuple[Verdict, str]:
    found, unproven = measured.found, measured.of(UNPROVEN)
    if unproven or not found.entries:
        names = listed(f"{e.edit} ({e.place}, {number(e.score_change)})" for e in unproven)
        return Verdict.ERROR, (
            f"Expected edits that keep the scores within {number(found.tolerance)}, got "
            f"{names or 'no edit that this model has the parts for'}; audit the model in float32 "
            "or float64."
        )
    if blurred := measured.of(NUMERICS):
        names = listed(f"{e.edit} ({e.place})" for e in blurred)
        return Verdict.INCONCLUSIVE, (
            f"Numerics cannot carry {names}: the input gradient, which no edit can move, moved."
        )
    return Verdict.PASS, (
        f"The map stays put under {plural(len(found.entries), 'edit')} that keep the model's "
        f"function ({plural(len(found.pairs), 'pair')})."
    )


def _violation(
    measured: _Measured,
    reference: Reference,
    roles: Roles,
    statistics: list[Statistic],
    table: TableFigure,
    thresholds: Thresholds,
) -> Finding:
    found, moved = measured.found, measured.of(MOVED)
    least = float(thresholds["rank_correlation"])
    grave = any(e.edit not in SHIFTS and measured.correlation(e) < least for e in moved)
    worst = min(moved, key=lambda e: (e.edit in SHIFTS, measured.correlation(e)))
    row = int(np.argmax(np.where(measured.steady, worst.relative_l2, -1.0)))
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=Verdict.VIOLATION,
        severity=Severity.ERROR if grave else Severity.WARNING,
        summary=_summary(measured, worst),
        detail=list(_sentences(measured)),
        statistics=statistics,
        samples=[pair],
        figures=[table, _maps_figure(found, reference, worst, row)],
        witness=witness(roles, "P106", pair),
    )


def _statistic(measured: _Measured, thresholds: Thresholds) -> Statistic:
    judged = [*measured.of(MOVED), *measured.of(STAYED)]
    largest = max((measured.change(e) for e in judged), default=float("nan"))
    return Statistic(
        name="largest median change of the maps (relative L2)",
        value=largest if np.isfinite(largest) else None,
        threshold=float(thresholds["relative_change"]),
        good_side="below",
        n=len(measured.found.pairs),
    )


def _summary(measured: _Measured, worst: EditedMaps) -> str:
    moved = measured.of(MOVED)
    alone = [e.place for e in moved if e.edit == worst.edit and e.block is not None]
    return (
        f"The map moves while the model's function stays, under "
        f"{listed((e.edit for e in moved), most=6)}. {worst.edit} ({worst.place}) changes it by "
        f"{percent(measured.change(worst))} (median; rank correlation "
        f"{number(measured.correlation(worst))}) and the score by {number(worst.score_change)}."
        + (f" The {alone[-1]} alone does it." if alone and worst.block is None else "")
    )


def _sentences(measured: _Measured) -> Iterator[str]:
    for entry in measured.of(MOVED):
        yield (
            f"{entry.edit}, {entry.place}: relative change {number(measured.change(entry))}, rank "
            f"correlation {number(measured.correlation(entry))}, score "
            f"{number(entry.score_change)}"
        )


def _unsteady(found: Reparametrization, steady: Array) -> str:
    return (
        "The map varies too much to be compared: rounding of the weights, or a second run, moves "
        f"it by {percent(float(np.median(found.noise)))} (median), and only {int(steady.sum())} of "
        f"{plural(len(steady), 'pair')} can be judged."
    )


def _table(measured: _Measured) -> TableFigure:
    found = measured.found
    rows = [
        [
            entry.edit,
            entry.place,
            number(entry.score_change),
            number(measured.change(entry)),
            number(measured.correlation(entry)),
            number(float(np.nan_to_num(entry.top_overlap[measured.steady]).mean())),
            state,
        ]
        for entry, state in zip(found.entries, measured.states, strict=True)
    ]
    return TableFigure(
        title="Function-preserving edits",
        caption="Edits of all blocks of a tower, and of single blocks where those moved the map. "
        f"Computed in {found.dtype}; scores may move by {number(found.tolerance)}.",
        columns=["edit", "place", "score moves by", "map moves by (relative L2, median)",
                 "rank correlation", "overlap of the top tenth", "the map"],
        rows=rows,
    )  # fmt: skip


def _maps_figure(
    found: Reparametrization, reference: Reference, entry: EditedMaps, row: int
) -> PairFigure:
    return pair_figure(
        reference,
        int(found.pairs[row]),
        f"One function, two maps: {entry.edit}",
        f"The same pair, explained before and after the edit of the {entry.place}. The model's "
        f"scores are the same to {number(entry.score_change)}.",
        [("before", found.maps[row]), ("after", entry.maps[row])],
        shared_scale=True,
    )


CHECK = Check(
    id="P106",
    name="invariant-to-reparametrization",
    title="Does the map stay put under edits that provably keep the model's function?",
    failure_title="The map moves although the model's function stays",
    severity=Severity.WARNING,
    needs=frozenset({"reparametrization", "reference"}),
    thresholds={
        "relative_change": 1e-3,
        "noise_factor": 10.0,
        "largest_limit": 0.1,
        "least_share": 0.2,
        "rank_correlation": 0.9,
    },
    reference="Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), implementation invariance; Cui "
    "and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
