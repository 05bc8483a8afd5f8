"""Every constant that decides a verdict outside the trace, with a case on either side of it.

A limit lies between its two cases; where a quantity comes in steps, as pairs and rungs do, one case
lies on the limit itself. Constants that decide no verdict are in `HARMLESS`, with what they do.
"""

from __future__ import annotations

from functools import partial

import torch

from audit.result.finding import Verdict
from tests.constants import gathering, principle_1, principle_2
from tests.constants.row import Row

CHECKS_OF_PRINCIPLE_2 = ("P201", "P202", "P203", "P204", "P205", "P206")
PASS, VIOLATION, INCONCLUSIVE, ERROR = "pass", "violation", "inconclusive", "error"

TRACES = [
    Row("principles:FEWEST_PROBES", 3, principle_1.altered_attention, 2, VIOLATION, 3, PASS),
    Row("principles:FEWEST_PICTURES", 2, principle_1.altered_pictures, 1, VIOLATION, 2, PASS),
    Row("P104:least_tolerance", 0.0, principle_1.score_error, 0.0, PASS, 1e-9, VIOLATION),
    Row(
        "P104:coarsest_tolerance", 1e-3, principle_1.known_to,
        0.99e-3, PASS, 1.01e-3, INCONCLUSIVE,
    ),
]  # fmt: skip
MAPS = [
    Row("P106:relative_change", 1e-3, principle_1.moved_by, 0.99e-3, PASS, 1.01e-3, VIOLATION),
    Row("P106:noise_factor", 10, principle_1.moved_by_times_its_noise, 9.9, PASS, 10.1, VIOLATION),
    Row("P106:largest_limit", 0.1, principle_1.limit_by_noise, 0.099, PASS, 0.101, INCONCLUSIVE),
    Row("P106:least_share", 0.2, principle_1.share_of_moved_pairs, 0.1, PASS, 0.2, VIOLATION),
    Row(
        "literal: P106, half of the pairs are steady", 0.5, principle_1.share_of_steady_pairs,
        0.4, INCONCLUSIVE, 0.5, PASS,
    ),
    Row(
        "P106:rank_correlation", 0.9, principle_1.severity_of_correlation,
        0.89, "error", 0.91, "warning",
    ),
    Row("P107:survives", 0.5, principle_1.likeness, 0.49, PASS, 0.51, VIOLATION),
    Row(
        "P107:survives_outright", 0.9, principle_1.likeness_of_maps_all_alike,
        0.89, PASS, 0.91, VIOLATION,
    ),
    Row("P107:indifference", 0.1, principle_1.likeness_up_to, 0.099, PASS, 0.101, INCONCLUSIVE),
    Row(
        "P107:error_rate", 0.05, principle_1.error_rate_of_likeness,
        0.04, PASS, 0.055, INCONCLUSIVE,
    ),
    Row(
        "P107:unchanged", 1e-3, principle_1.change_by_randomization,
        0.99e-3, VIOLATION, 1.01e-3, PASS,
    ),
    Row(
        "P108:share_of_ceiling", 0.1, principle_1.lead_up_to_a_share_of_the_ceilings,
        0.099, VIOLATION, 0.101, INCONCLUSIVE,
    ),
    Row(
        "P108:error_rate", 0.05, principle_1.error_rate_of_leads,
        0.045, PASS, 0.055, INCONCLUSIVE,
    ),
    Row("P108:least_ceiling", 0.2, principle_1.ceiling, 0.19, INCONCLUSIVE, 0.21, PASS),
    Row("audit.evidence:NULL_FACTOR", 64, principle_1.patching_nothing, 63, PASS, 65, ERROR),
    Row("P109:noise_factor", 10, principle_1.company_times_noise, 9.9, PASS, 10.1, VIOLATION),
    Row("P109:largest_limit", 0.1, principle_1.limit_of_repeats, 0.099, PASS, 0.101, INCONCLUSIVE),
    Row("P109:repeat_factor", 2, principle_1.company_times_repeats, 1.99, PASS, 2.01, VIOLATION),
    Row(
        "P109:least_share", 0.5, principle_1.share_of_stochastic_pairs,
        0.5, PASS, 4 / 6, VIOLATION,
    ),
]  # fmt: skip
ALIGNMENT = [
    *(
        Row(
            f"{check}:error_rate", 0.05, principle_2.error_rate(check),
            0.045, PASS, 0.055, INCONCLUSIVE,
        )
        for check in principle_2.BAR
    ),
    Row(
        "P204:error_rate", 0.05, principle_2.error_rate_of_accuracies,
        0.045, PASS, 0.055, INCONCLUSIVE,
    ),
    *(
        Row(
            f"{check}:reliability", 0.8, principle_2.reliability(check),
            0.79, "silent", 0.81, "speaks",
        )
        for check in CHECKS_OF_PRINCIPLE_2
    ),
    Row(
        "principles:ERROR_RATE", 0.05, principle_2.error_rate("P205"),
        0.045, PASS, 0.055, INCONCLUSIVE,
    ),
    Row(
        "principles:RELIABILITY", 0.8, principle_2.reliability("P206"),
        0.79, "silent", 0.81, "speaks",
    ),
    Row(
        "principles:CONTROL_LEVEL", 0.95, principle_2.control_level,
        0.945, "silent", 0.955, "speaks",
    ),
    Row("P201:none", 0.0, principle_2.correlation_over_rungs, -0.03, INCONCLUSIVE, 0.03, PASS),
    Row(
        "P201:clear", 0.5, principle_2.no_correlation_over_rungs,
        0.47, VIOLATION, 0.53, INCONCLUSIVE,
    ),
    Row(
        "P201:least_accuracy_spread", 0.15, principle_2.accuracy_spread,
        0.145, "not tested", 0.155, "tested",
    ),
    Row(
        "P201:identity_tolerance", 1e-5, principle_2.identity_error,
        0.99e-5, PASS, 1.01e-5, ERROR,
    ),
    Row("principles:CONSTANT", 1e-9, principle_2.quality_range, 0.9e-9, VIOLATION, 1.1e-9, PASS),
    Row("principles:FEWEST", 3, principle_2.rungs_with_quality, 2, "not tested", 3, "tested"),
    Row("P202:none", 0.5, principle_2.area, 0.45, INCONCLUSIVE, 0.51, PASS),
    Row("P202:clear", 0.6, principle_2.area_that_counts, 0.59, VIOLATION, 0.61, INCONCLUSIVE),
    Row("P202:least_of_each", 5, principle_2.pictures_of_each, 4, "not tested", 5, "tested"),
    Row("P203:none", 0.0, principle_2.correlation_over_classes, -0.03, INCONCLUSIVE, 0.03, PASS),
    Row(
        "P203:clear", 0.5, principle_2.correlation_of_classes_that_counts,
        0.46, VIOLATION, 0.54, INCONCLUSIVE,
    ),
    Row("P203:least_pairs", 3, principle_2.pairs_of_a_class, 2, "not tested", 3, "tested"),
    Row("P203:least_classes", 8, principle_2.classes, 7, "not tested", 8, "tested"),
    Row(
        "P204:negligible_drop", 0.02, principle_2.drop_of_accuracy,
        0.0195, PASS, 0.0205, INCONCLUSIVE,
    ),
    Row(
        "P204:negligible_quality", 0.02, principle_2.gain_of_a_worse_model,
        0.0195, PASS, 0.0205, INCONCLUSIVE,
    ),
    Row(
        "literal: P204, twice as often right as a guess", 2, principle_2.times_chance,
        1.95, "not tested", 2.05, "tested",
    ),
    Row("P205:none", 0.0, principle_2.fall_under_absent_text, -1e-3, INCONCLUSIVE, 1e-3, PASS),
    Row("P205:clear", 0.04, principle_2.fall_that_counts, 0.039, VIOLATION, 0.041, INCONCLUSIVE),
    Row("P206:none", 0.0, principle_2.gain_over_model_free, -1e-3, INCONCLUSIVE, 1e-3, PASS),
    Row("P206:clear", 0.04, principle_2.gain_that_counts, 0.039, VIOLATION, 0.041, INCONCLUSIVE),
    Row(
        "principles:LEAST_RANGE", 0.1, principle_2.score_range,
        0.099, "199 pictures", 0.101, "200 pictures",
    ),
]  # fmt: skip
GATHERING = [
    *(
        Row(
            f"audit.interventions:TOLERANCE[{dtype}]", value, principle_1.PROOFS[str(dtype)],
            0.99 * value, PASS, 1.01 * value, ERROR,
        )
        for dtype, value in (
            (torch.float64, 1e-10), (torch.float32, 1e-5),
            (torch.float16, 2e-2), (torch.bfloat16, 1e-1),
        )
    ),
    Row("audit.interventions:TRIVIAL", 1e-6, gathering.gain_of_a_norm,
        0.9e-6, "trivial", 1.1e-6, "folded"),
    Row("audit.interventions:NEGLIGIBLE", 1e-3, gathering.gain_of_a_channel,
        0.9e-3, "kept", 1.1e-3, "folded"),
    Row("audit.evidence:AFFORDABLE", 12, gathering.dear, 12, "cheap", 12.1, "dear"),
    Row("audit.evidence:LEAST", 4, gathering.pairs_of_a_dear_explainer, 3, "4 pairs", 5, "5 pairs"),
    Row("audit.evidence:ROUNDINGS", 4, gathering.size_of_rounding, 3.9, "more", 4.1, "less"),
    Row("audit.metrics:LEAST_EFFECT", 1e-6, gathering.effect_of_a_window,
        0.99e-6, "nothing to find", 1.01e-6, "found"),
]  # fmt: skip
STATISTICS = [
    Row("audit.statistics:LEAST_IN_TAIL", 5, gathering.draws_in_the_tail,
        4.9, "widened", 5.1, "as drawn"),
    Row("audit.statistics:FIELLER", 1.06, gathering.variance_of_z,
        1.03, "does not", 1.09, "clears zero"),
    Row("audit.statistics:EXACT_CLUSTERS", 12, gathering.units_to_flip, 12, "all", 13, "drawn"),
    Row("audit.statistics:EXACT_PERMUTATIONS", 50_000, lambda case: gathering.orders(case[1]),
        (46_080, (6, 2, 2, 2, 2, 2, 2)), "all", (51_840, (6, 3, 3, 2)), "drawn"),
    Row("audit.statistics:FEWEST_UNITS", 4, gathering.units_to_split, 3, "refused", 4, "split"),
    Row("audit.statistics:FEWEST_CONDITIONS", 3, gathering.conditions_to_order,
        2, "refused", 3, "split"),
    Row("literal: judging, half of the budget", 0.5, gathering.forecast_at,
        0.49, "goes on", 0.51, "given up"),
    Row("literal: looks, a fifth of the budget is left to the last", 0.8, gathering.look_at,
        0.79, "a look", 0.81, "no look"),
]  # fmt: skip
RELEASE = [
    Row("audit.gate:TOLERANCE", 0.05, gathering.number_without_interval,
        0.049, "no worse", 0.051, "worse"),
    *(
        Row(f"audit.gate:{order}[{was}]", value, partial(gathering.after, was),
            below, "no worse", above, "worse")
        for order, was, value, below, above in (
            ("BADNESS", Verdict.PASS, 0, Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE),
            ("BADNESS", Verdict.NOT_APPLICABLE, 0, Verdict.PASS, Verdict.INCONCLUSIVE),
            ("BADNESS", Verdict.INCONCLUSIVE, 1, Verdict.PASS, Verdict.VIOLATION),
            ("BADNESS", Verdict.VIOLATION, 2, Verdict.INCONCLUSIVE, Verdict.ERROR),
            ("ACCEPTED", Verdict.ERROR, 0, Verdict.PASS, Verdict.VIOLATION),
        )
    ),
    *(
        Row(f"audit.metrics:ROUNDING[{dtype}]", value, gathering.difference_of_maps(dtype),
            0.99 * value, "equivalent", 1.01 * value, "different")
        for dtype, value in (
            ("float64", 1e-10), ("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 5e-2),
        )
    ),
    Row("audit.metrics:LOOSE", 1e-3, gathering.coarser_difference,
        0.99e-3, "equivalent", 1.01e-3, "different"),
    Row("audit.metrics:RANKED", 0.999, gathering.coarser_ranks,
        0.9989, "different", 0.9991, "alike"),
]  # fmt: skip
TABLE = [*TRACES, *MAPS, *ALIGNMENT, *GATHERING, *STATISTICS, *RELEASE]

HARMLESS = {
    "audit.evidence:FILLER": "the number of the token that takes a token's place",
    "audit.metrics:COMPONENTS": "of the colors of an outlined object, which `audit map` draws",
    "audit.metrics:SMOOTHNESS": "likewise, of its edge",
    "audit.metrics:UNIT": "likewise, of its graph's whole numbers",
    "audit.metrics:SURE": "likewise, of its seeds",
    "audit.evidence:NEAREST": "similar explainers that are listed beside equivalent ones",
    "audit.metrics:STEPS": "of AIM's fill, which is reported beside what decides",
    "audit.metrics:SAMPLES": "of infidelity, which is reported beside what decides",
    "audit.evidence:SHARED_PASSES": "counted, not decided by",
    "audit.statistics:LEAST": "no division by a variance of zero",
    "audit.engine:NAMED": "files named in a sentence",
    "audit.evidence:EXPLAINED": "pictures that are explained for every class before a shortcut",
    "audit.evidence:ROUNDING": "a shortcut within it; beyond, every class is asked for",
    "principles:MOST_POINTS": "classes that a plot shows one by one",
    "principles:GROUPS": "of classes in a plot",
    "audit.evidence:IN_LINE": "numbers that a pipe holds",
    "audit.evidence:BYTES": "of such a number",
    "audit.evidence:PATIENCE": "seconds between two looks",
    "audit.evidence:PORTIONS": "portions of tasks that a worker gets one after the other",
    "principles:TURNS": "placements that a sentence compares",
    "principles:MOST_DIGITS": "digits of two scores in a sentence",
    "principles:LEAST_RELIABILITY": "keeps noise from accusing; its value is in test_p203.py",
    "principles:NO_TOLERANCE": "a tolerance within which nothing is",
    "principles:PLAIN": "the ranges of plain numbers among limits",
    "principles:RESAMPLES": "precision of an interval",
    "principles:SPLITS": "precision of a reliability",
    "principles:SHOWN": "pairs in a figure",
    "principles:BINS": "points of a curve",
    "principles:CONTROL_RATE": "half of what CONTROL_LEVEL leaves",
    "audit.judging:MOST_PAIRS": "pairs in a report",
    "audit.judging:DIGITS": "digits in a report",
    "audit.judging:ALIKE": "whether a figure is shown twice",
    "audit.evidence:ACTIVATIONS": "size of a batch",
    "audit.evidence:BATCH_IF_UNKNOWN": "size of a batch",
    "audit.evidence:LARGEST_BATCH": "size of a batch",
    "audit.evidence:BINS_OF_A_SIDE": "what is measured: which pairs are chosen",
    "audit.evidence:LEAST_OF_A_SIDE": "how much is measured: nothing where it cannot be enough",
    "audit.evidence:SLUG": "length of a file name",
    "audit.evidence:DEVICE": "size of a batch",
    "audit.evidence:PICTURES": "size of a batch",
    "audit.evidence:AROUND": "source lines in a figure",
    "audit.evidence:STREAM": "a seed",
    "audit.evidence:SEED": "a seed, of a plan",
    "audit.evidence:APART": "of a plan, which judges nothing",
    "audit.evidence:NO_PASS": "a number of torch's",
    "audit.evidence:CONTROLLED": "how much is measured",
    "audit.evidence:FEW": "how much is measured",
    "audit.evidence:LEAST_PROBED": "how much is measured",
    "audit.evidence:MOST_STAGES": "how much is measured",
    "audit.evidence:TRACED_IF_EXPENSIVE": "how much is measured",
    "audit.evidence:RUNGS_PER_SEED": "how much is measured",
    "audit.evidence:LEAST_BETWEEN": "what is measured: strengths of rungs",
    "audit.evidence:MOST_HALVINGS": "what is measured: strengths of rungs",
    "audit.evidence:PROVEN_ON": "how much is measured before an edit is used",
    "audit.evidence:GRADES": "what is measured: strengths of rungs",
    "audit.evidence:FRACTIONS": "what is measured: points of a curve",
    "audit.evidence:SIDE": "what is measured: size of a window",
    "audit.interventions:BLUR": "what is measured: a neutral picture",
    "audit.interventions:CONDITION": "size of an edit that keeps the function",
    "audit.interventions:UNFOLDED_SPREAD": "size of an edit that keeps the function",
    "audit.interventions:SPREAD": "size of an edit that keeps the function",
    "audit.interventions:MOST_STAGES": "how finely what is drawn anew is divided",
    "audit.interventions:UNMODIFIED": "the rung of strength zero",
    "audit.interventions:CONSTANT_SPREAD": "spread of random weights",
    "audit.interventions:ZERO_SPREAD": "spread of random weights",
    "audit.statistics:CHUNK": "memory",
    "audit.statistics:DEGREE": "what is held fixed: relations so smooth",
    "audit.statistics:ROUNDING": "rounding of ranks",
    "audit.statistics:FAR": "precision of a boundary",
    "audit.statistics:PERMUTATIONS": "precision of a p-value",
    "audit.statistics:POINTS": "precision of a boundary",
    "audit.statistics:TINY": "rounding of equal sums",
    "audit.metrics:SHARES": "what is measured: shares of the windows",
    "audit.metrics:FILLED": "size of a batch",
    "audit.metrics:CACHED": "memory",
    "audit.metrics:CLIP_MEAN": "what is measured: the usual colors",
    "audit.metrics:CLIP_STD": "what is measured: the usual colors",
    "audit.metrics:BINS": "of a metric that no check uses",
    "audit.metrics:ALIKE": "of a metric that no check uses",
    "audit.metrics:REACH": "of a metric that no check uses",
    "audit.metrics:RIDGE": "of a metric that no check uses",
    "audit.metrics:KEPT_SHARES": "of a metric that no check uses",
    "audit.gate:KEPT": "how many results are kept",
    "audit.engine:SIZES": "how much is measured",
}
