"""Cases for the constants of gathering, of statistics, of the gate and of the engine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import nn

from audit.evidence import cost
from audit.evidence.context import Context
from audit.evidence.explained_copies import rounded_copy
from audit.gate.baseline import worse
from audit.interventions.draws import generator_for
from audit.interventions.function_preserving import channels, readouts
from audit.judging.group_sequential import may_settle
from audit.metrics import map_relation
from audit.metrics.agreement import effect_captured
from audit.metrics.map_relation import Relation, relation_of, rounding_of, still_related
from audit.models.anatomy import anatomy_of
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult
from audit.statistics.bootstrap import bootstrap_interval, draw_weights, expanded_shares, mean
from audit.statistics.correlation import spearman_interval
from audit.statistics.paired import permutation_table, sign_flip
from audit.statistics.spending import look_sizes
from audit.statistics.split_half import split_half_reliability
from tests.panel_stage import stage


def dear(price: float) -> str:
    """An explainer that costs so many forward passes."""
    return "dear" if cost.is_expensive(price) else "cheap"


def pairs_of_a_dear_explainer(affordable: int) -> str:
    """Pairs that are explained where so many could be afforded."""
    wanted = 24
    price = wanted * cost.AFFORDABLE / (affordable + 0.5)
    context = Context.__new__(Context)  # nothing but its pairs is asked for
    context.pairs = range(100)
    return f"{len(cost.affordable_pairs(context, price, wanted))} pairs"


def size_of_rounding(epsilons: float) -> str:
    """Whether weights that are equal up to roundings differ by less than so many of them."""
    layer = nn.Linear(400, 400, bias=False)
    nn.init.ones_(layer.weight)
    change = (rounded_copy(layer, 0).weight - 1).std() / torch.finfo(torch.float32).eps
    return "less" if change < epsilons else "more"


def gain_of_a_norm(excess: float) -> str:
    """A norm whose gain is so far from one."""
    layer = nn.LayerNorm(8)
    nn.init.constant_(layer.weight, 1 + excess)
    return "trivial" if channels.is_trivial(layer.double()) else "folded"


def gain_of_a_channel(share: float) -> str:
    """What folding makes of a channel whose gain is so small a share of the usual."""
    model = copy.deepcopy(stage().model)
    gain = torch.ones(model.visual.ln_post.weight.shape)
    gain[1:] = 2.0
    gain[0] = share * float(gain[1:].square().sum().div(len(gain)).sqrt())
    model.visual.ln_post.weight.data = gain
    changed = readouts.fold_final_norm(anatomy_of(model).image, generator_for("test"))
    return "folded" if float(changed["visual.ln_post.weight"][0]) == 1 else "kept"


def effect_of_a_window(size: float) -> str:
    """Windows of which half have such an effect, and half its opposite."""
    effects = torch.tensor([[size, -size] * 20], dtype=torch.float64)
    found = effect_captured(effects, effects)
    return "nothing to find" if bool(found.isnan()) else "found"


def draws_in_the_tail(count: float) -> str:
    """Whether an interval is widened where so many draws lie beyond its end."""
    values = np.r_[np.zeros(39), 40.0]
    low, high = expanded_shares(len(values), 0.95)
    resamples = round(count / low)
    found = bootstrap_interval(values, rng=np.random.default_rng(0), resamples=resamples)
    draws = mean(values, draw_weights(len(values), resamples, np.random.default_rng(0)))
    plain = np.quantile(draws, (low, high))
    return "as drawn" if np.allclose((found.low, found.high), plain) else "widened"


def variance_of_z(variance: float) -> str:
    """A rank correlation of 100 units that clears zero if Fisher's z has such a variance."""
    n, edge = 100, 1.959964
    wanted = np.tanh(edge * np.sqrt(variance / (n - 3)))
    x, noise = np.arange(n), np.random.default_rng(0).normal(size=n)
    tables = [x + scale * noise for scale in np.linspace(60, 400, 400)]
    found = [spearman_interval(x, table) for table in tables]
    nearest = min(found, key=lambda estimate: abs(estimate.value - wanted))
    assert abs(nearest.value - wanted) < 1e-3
    return "clears zero" if nearest.above(0.0) else "does not"


def units_to_flip(count: int) -> str:
    """Whether all signs of so many units are tried, or a single one, as asked, at random."""
    p = sign_flip(np.ones(count), rng=np.random.default_rng(0), flips=1)
    return "all" if p == 2 / 2**count else "drawn"


def orders(sizes: tuple[int, ...]) -> str:
    """Whether all orders of units in families of such sizes are tried."""
    families = np.repeat(np.arange(len(sizes)), sizes)
    _, exact = permutation_table(len(families), families, np.random.default_rng(0), 10)
    return "all" if exact else "drawn"


def _halves(units: int, conditions: int) -> str:
    table = np.arange(units)[:, None] * 0.1 + np.arange(conditions)
    try:
        split_half_reliability(table, rng=np.random.default_rng(0), splits=10)
    except ValueError:
        return "refused"
    return "split"


def units_to_split(count: int) -> str:
    """Two halves of so many units."""
    return _halves(count, 5)


def conditions_to_order(count: int) -> str:
    """Two halves that order so many conditions."""
    return _halves(10, count)


def _check(verdict: Verdict, value: float = 1.0) -> CheckResult:
    statistic = Statistic(name="z", value=value, threshold=0.0, good_side="below")
    finding = Finding(verdict=verdict, summary="", statistics=[statistic])
    return CheckResult.model_construct(id="P101", severity=Severity.ERROR, finding=finding)


def number_without_interval(change: float) -> str:
    """A violation whose number is worse than in the baseline by this share of it."""
    old, new = _check(Verdict.VIOLATION), _check(Verdict.VIOLATION, 1.0 + change)
    return "worse" if worse(old, new, numbers=True) else "no worse"


def after(old: Verdict, new: Verdict) -> str:
    """A verdict after that of the baseline."""
    return "worse" if worse(_check(old), _check(new), numbers=False) else "no worse"


def difference_of_maps(dtype: str) -> Callable[[float], str]:
    """Two explainers whose maps differ by this share of their range."""

    def decide(gap: float) -> str:
        maps = torch.linspace(0, 1, 9, dtype=torch.float64).repeat(2, 1)
        other = maps.clone()
        other[0, 4] += gap
        drawn = maps.to(getattr(torch, dtype))
        found = relation_of(maps, other, rounding_of(drawn, drawn))
        return "equivalent" if found.relation is Relation.EQUAL else "different"

    return decide


def coarser_difference(gap: float) -> str:
    """Maps that are equal in double precision and differ so much in a coarser one."""
    maps = torch.linspace(0, 1, 9, dtype=torch.float64).repeat(2, 1)
    other = maps.clone()
    other[0, 4] += gap
    return "equivalent" if still_related(maps, other, Relation.EQUAL) else "different"


def coarser_ranks(correlation: float) -> str:
    """Maps that rank alike in double precision, and have this rank correlation in a coarser one."""
    with mock.patch.object(map_relation, "spearman", return_value=torch.tensor([correlation])):
        maps = torch.linspace(0, 1, 9, dtype=torch.float64)[None]
        return "alike" if still_related(maps, maps, Relation.RANKING) else "different"


def forecast_at(share: float) -> str:
    """A check that no number of pairs will settle, looked at with this share of the budget."""
    statistics = [Statistic(name="z", value=0.0)]
    finding = Finding(
        verdict=Verdict.INCONCLUSIVE, summary="", statistics=statistics, more_pairs_help=False
    )
    goes_on = may_settle(CheckResult.model_construct(finding=finding), round(share * 384), 384)
    return "goes on" if goes_on else "given up"


def look_at(share: float) -> str:
    """Whether pairs that are this share of the budget are looked at before the last look."""
    return "a look" if 48 in look_sizes(round(48 / share))[:-1] else "no look"
