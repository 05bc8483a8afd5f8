"""P201 tracks-ladder.

What it does: Degrades copies of the model step by step, the rungs of a ladder, and asks whether the
quality of the maps rises with accuracy over these rungs. Copies are degraded by weight noise and by
random blocks (with `--profile full` also by interpolation to random weights and, where the heads of
the model are known, by removed attention heads), in several strengths; checkpoints of the model,
those that it brings and those that you give (`--ladder FILE`), are a family of rungs of their own.
Rungs are chosen for the spread of their accuracies: one within a standard error of another of its
family is left out, unless you gave it, and a second draw of the copies is made only where there are
fewer than 14. The statistic is the rank correlation within each family of rungs, pooled, each rung
weighted by how reliably its quality and accuracy are measured, with an interval by bootstrap over
pictures and rungs: it passes above 0, with an estimate above 0.25, and is violated below 0.5, with
one below. Other models (`--ladder ARCHITECTURE:TAG`, `local-dir:FOLDER`) are shown beside it and
never judged. Quality is localization (average precision of the mask, chance-corrected, unless
`--quality` names another measure) where there are masks, and faithfulness (insertion minus
deletion, over each rung's own full minus empty score) where there are none or where localization
may not speak. A measure speaks only if a faithful control tracks the ladder by it, no model-free
control does, and two halves of the pictures agree about the order of the rungs by that control's
maps (split-half reliability; of faithfulness with one fill, as a second on every rung would double
its cost). Rungs whose scores hardly tell full pictures from empty ones, by a tenth of the
unmodified model's range, have no faithfulness.

Why it matters: A map that looks as good on a broken model as on a working one does not show what
the model knows; it shows where objects usually are.

How to fix it: Compare the maps on the unmodified model with those on a rung of low accuracy. If
they look alike, the method reads the picture or the positions rather than what the model knows.
Weigh activations by gradients of the score, and leave out priors such as centering, smoothing
toward objects or another model's segmentation.

What a pass does not show: That better models have better maps across architectures; the
literature finds no such law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from audit.evidence.kinds import Ladder, OtherModels, Reference, Roles, RungFaithfulness
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import number, percent
from principles.check import Check
from principles.indifference import ZoneLimits
from principles.limits import AtMostOne, Correlation, NotNegative, Share
from principles.performance_alignment.beside_the_ladder import ladder_remedy, with_other_models
from principles.performance_alignment.estimates import (
    Reading,
    combined,
    controls_fail,
    judged,
    level_for,
    reasons,
    statistic,
)
from principles.performance_alignment.ladder_figure import ladder_figure
from principles.performance_alignment.reliability import RELIABILITY
from principles.performance_alignment.rung_correlation import (
    ladder_sentence,
    rung_correlation,
    rung_reliability,
    settling,
)
from principles.performance_alignment.rung_quality import RungQuality, rung_measures
from principles.performance_alignment.settling import pairs_for_controls, settling_words, whole

_FEWEST = 3
_TEST = "permutations of rungs within their families, the null being no relation"


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What a correlation over the ladder is judged by."""

    none: Correlation = 0.0
    clear: Correlation = 0.5
    least_accuracy_spread: Share = 0.15
    identity_tolerance: NotNegative = 1e-5
    reliability: AtMostOne = RELIABILITY


def judge(
    ladder: Ladder,
    other_models: OtherModels,
    reference: Reference,
    roles: Roles,
    limits: Limits,
    rung_faithfulness: RungFaithfulness | None = None,
) -> Finding:
    """Violated where the correlation lies below the least that counts with its whole interval."""
    found = _on_the_ladder(ladder, rung_faithfulness, reference, roles, limits)
    found = found.model_copy(update={"detail": [*found.detail, *ladder.left_out]})
    return with_other_models(found, other_models, reference, roles)


def _on_the_ladder(
    ladder: Ladder,
    faithful: RungFaithfulness | None,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    if ladder.identity_error > limits.identity_tolerance:
        raise ValueError(
            "the rung of strength zero is not the model: a score differs by "
            f"{number(ladder.identity_error)}; the ladder cannot be trusted"
        )
    accuracy = ladder.correct.mean(1)
    spread = float(accuracy.max() - accuracy.min())
    if spread < limits.least_accuracy_spread:
        summary = (
            f"Accuracy is {percent(accuracy[0])} on the unmodified model (chance "
            f"{percent(reference.chance)}) and varies by only {percent(spread)} over the ladder: "
            "a model that knows this little allows no verdict."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    measured = rung_measures(ladder, faithful, reference).values()
    found = [m for m in measured if roles.audited in m.values]
    readings = [_reading(m, roles, limits, len(reference.ids)) for m in found]
    if faithful is None and not any(r.may_speak for r in readings):
        return combined(readings).model_copy(update={"wants": ["rung_faithfulness"]})
    return combined(readings)


def _reading(measure: RungQuality, roles: Roles, limits: Limits, pairs: int) -> Reading:
    zone = limits.zone
    correlation = partial(rung_correlation, measure)
    figures = [ladder_figure(measure, roles)]
    known = {name: measure.rungs_with(name) for name in judged(roles, measure.values)}
    if known[roles.audited] < _FEWEST:
        sentence = (
            f"By {measure.name} nothing can be said: {known[roles.audited]} rungs have it and "
            f"{_FEWEST} can be ranked; give more with --ladder."
        )
        return Reading(
            may_speak=False, verdict=Verdict.INCONCLUSIVE, sentence=sentence, figures=figures
        )
    estimates = {
        name: correlation(name, level_for(name, roles, limits.error_rate))
        for name, rungs in known.items()
        if rungs >= _FEWEST
    }
    ours = estimates[roles.audited]
    verdict = zone.decide(ours)
    reliable = rung_reliability(measure, roles, limits.reliability)
    why = reasons(controls_fail(estimates, roles, zone, "tracks the ladder"), reliable.why)
    controls = pairs_for_controls(estimates, roles, zone, pairs)
    gates = max(controls, reliable.pairs_needed)
    settles, more = whole(gates), ""
    if why:
        more = f" {settling_words(gates)}"
    if verdict is Verdict.INCONCLUSIVE and not why:
        many = correlation(roles.audited, ours.level, pictures=False)
        settles, more = settling(ours, many, zone.end(ours.value), pairs)
    return Reading(
        may_speak=not why,
        verdict=verdict,
        sentence=ladder_sentence(measure.name, ours, zone, why) + more,
        statistics=[
            statistic(f"rank correlation of {measure.name} with accuracy", ours, zone, test=_TEST),
            reliable.statistic,
        ],
        figures=figures,
        pairs_to_settle=settles,
        more_pairs_help=settles is not None or not more,
        remedy=ladder_remedy(measure, roles),
    )


CHECK = Check(
    id="P201",
    name="tracks-ladder",
    title="Across models of graded performance, does map quality rise with performance?",
    failure_title="Map quality does not follow the model's performance",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952); Adebayo et al. 2018 "
    "(arXiv 1810.03292)",
    judge=judge,
)
