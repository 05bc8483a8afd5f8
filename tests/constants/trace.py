"""Every constant of the trace that decides a verdict, with a case on either side of it.

Four times as large, or a quarter as large, the constant decides one of the two cases otherwise.
Constants and numbers that decide no verdict are in `HARMLESS`, with what they do.
"""

from __future__ import annotations

from tests.constants import trace_calls, trace_families, trace_values
from tests.constants.row import Row

VALUES = [
    Row("fingerprint:SCATTERED", 2.0, trace_values.scattered, 1.98, "same", 2.02, "other"),
    Row("fingerprint:SHARED", 0.05, trace_values.shared, 0.0495, "same", 0.0505, "other"),
    Row("fingerprint:TINY", 1e-30, trace_values.vanishing, 0.99e-30, "same", 1.01e-30, "other"),
    Row("rounding:MARGIN", 6.0, trace_values.moved_in_roundings, 5.9, "known", 6.1, "unknown"),
    Row("state_index:REACH", 8.0, trace_values.reach_of_keys, 3.8, "known", 8.1, "unknown"),
    Row(
        "state_index:MAX_ROWS", 200_000, trace_values.rows_before_it_is_forgotten,
        200_000, "known", 210_000, "forgotten",
    ),
    Row(
        "origins:EXACT", 1e-7, trace_values.came_back_changed_by,
        0.99e-7, "the same", 1.01e-7, "other",
    ),
    Row(
        "parameter_values:THIRDS", 3, trace_values.part_of_a_parameter,
        3, "known", 4, "unknown",
    ),
    Row(
        "patched:FIRST", 8, trace_values.patched_from_an_early_pass,
        8, "a patch", 9, "altered",
    ),
    Row("patched:LATEST", 8, trace_values.patched_from_a_late_pass, 8, "a patch", 9, "altered"),
    Row("map_origin:SAME", 1e-6, trace_values.variants, 0.99e-6, "one", 1.01e-6, "two"),
    Row(
        "text_choice:SAME_DIRECTION", 1e-6, trace_values.off_a_texts_direction,
        0.99e-6, "chosen", 1.01e-6, "all",
    ),
    Row(
        "text_choice:LEAST_SCORE", 1e-3, trace_values.off_a_small_score,
        0.99e-3, "chosen", 1.01e-3, "all",
    ),
    Row("text_choice:MOST", 4096, trace_values.values_to_choose_by, 4096, "chosen", 4112, "all"),
    Row(
        "feature_span:NOTHING", 1e-12, trace_values.length_out_of_the_span,
        0.99e-12, "nothing", 1.01e-12, "strange",
    ),
]  # fmt: skip
FAMILIES = [
    *(
        Row("probe_families:NOISE", 3.0, decide, 2.97, "around", 3.03, "elsewhere")
        for decide in (
            trace_families.scatters_off_the_given,
            trace_families.two_alike,
            trace_families.follows_a_path,
        )
    ),
    *(
        Row("probe_families:ROUNDING", 1e-3, decide, 0.99e-3, "around", 1.01e-3, "elsewhere")
        for decide in (
            trace_families.off_the_line,
            trace_families.off_a_straight_path,
            trace_families.bend_of_a_line,
        )
    ),
    Row(
        "probe_families:ROUNDING", 1e-3, trace_families.rows_off_by,
        0.99e-3, "its rows", 1.01e-3, "others",
    ),
    Row(
        "probe_families:SHARE", 0.9, trace_families.places_that_agree,
        0.899, "elsewhere", 0.901, "around",
    ),
    Row(
        "probe_families:SHARE", 0.9, trace_families.rows_that_agree,
        0.899, "others", 0.901, "its rows",
    ),
    Row("probe_families:FEWEST", 3, trace_families.texts, 2, "none", 3, "a family"),
    Row("probe_families:FEWEST", 3, trace_families.attentions, 2, "elsewhere", 3, "around"),
    Row(
        "probe_families:SAME_SPREAD", 1.25, trace_families.sizes_of_two,
        1.24, "around", 1.26, "elsewhere",
    ),
    Row(
        "probe_families:CLOSED", 1e-9, trace_families.closed_key,
        0.99e-9, "around", 1.01e-9, "elsewhere",
    ),
    *(
        Row("probe_families:SAME_ATTENTION", 0.02, decide, 0.0199, "around", 0.0201, "elsewhere")
        for decide in (trace_families.variation, trace_families.attention_off_the_line)
    ),
    Row(
        "probe_families:ATTENTION_NOISE", 1.5, trace_families.distance_in_noise,
        1.49, "around", 1.51, "elsewhere",
    ),
    Row(
        "probe_families:MOST_NOISE", 0.1, trace_families.distance_in_great_noise,
        0.099, "around", 0.101, "elsewhere",
    ),
    Row(
        "probe_families:MANY", 8, trace_families.members_that_scatter,
        7, "elsewhere", 8, "around",
    ),
    Row(
        "probe_families:MOSTLY_OPEN", 0.7, trace_families.open_keys,
        0.69, "around", 0.71, "elsewhere",
    ),
    Row("probe_families:FLAT", 0.99, trace_families.flatness, 0.989, "elsewhere", 0.991, "around"),
    Row("probe_families:PATH_AXES", 3, trace_families.dimensions, 3, "around", 4, "elsewhere"),
]  # fmt: skip
CALLS = [
    Row(
        "copied_parts:ROUNDINGS", 0.25, trace_calls.copied_mlp_off_by,
        0.245, "same", 0.255, "other",
    ),
    Row(
        "model_changes:ROUNDINGS", 64, trace_calls.wrapped_method_off_by,
        63, "same", 65, "another",
    ),
    Row(
        "model_copies:FEWEST_TENSORS", 4, trace_calls.tensors_of_a_copy,
        3, "unknown", 4, "a copy",
    ),
    Row("samples:ROUNDINGS", 8, trace_calls.pixels_off_by, 7.8, "the given", 8.2, "another"),
    Row("passes:KEPT_INPUTS", 3, trace_calls.later_pictures, 3, "known", 4, "forgotten"),
    Row(
        "runs:MOST_INPUTS", 64, trace_calls.later_runs_with_gradients,
        63, "known", 64, "forgotten",
    ),
    Row(
        "gradients:MOST_OPERATIONS", 400, trace_calls.operations_to_the_score,
        400, "compared", 401, "not compared",
    ),
    Row(
        "gradients:MOST_RUNS", 32, trace_calls.passes_behind_a_score,
        32, "the model's", 33, "not compared",
    ),
    Row(
        "kept_gradients:MOST_BEFORE", 4.0, trace_calls.gradient_kept_before,
        3.9, "compared", 4.1, "not compared",
    ),
    Row("plain_passes:REPLAYED", 16, trace_calls.passes_all_replayed, 16, "all", 48, "some"),
    Row(
        "plain_passes:REPLAYED", 16, trace_calls.hooked_passes_looked_at,
        16, "looked at", 17, "passed over",
    ),
    Row(
        "tracing:SAME_MAP", 1e-5, trace_calls.changed_when_computed_again,
        0.99e-5, "does not", 1.01e-5, "depends on the model",
    ),
    Row(
        "scalar_records:MAX_SCALARS", 200, trace_calls.scalars_of_a_kind,
        200, "told", 201, "not told",
    ),
]  # fmt: skip
TABLE = [*VALUES, *FAMILIES, *CALLS]

ONE_SIDED = {
    "state_index:REACH": "what lies within is compared: a wider reach takes time, and finds no more"
}
"""Constants that decide nothing when they are four times as large."""

HARMLESS = {
    # what is told
    "backward_rules:MOST_NODES": "time: how far the name of a rule is sought, to be told",
    "gradients:MOST_HOOKS": "hooks named in a sentence",
    "reasons:MOST_PARAMETERS": "parameters named in a sentence",
    "scalar_records:MAX_VALUES": "values shown of a scalar; only a single one is judged",
    "frames:UNKNOWN": "a line that nobody knows",
    "frames:PROJECT": "a folder",
    "literal: reasons 0.5": "which cause is told first",
    # time and memory alone
    "state_index:LATEST": "time: rows that are sorted anew when one comes",
    "step_rounding:SAMPLED": "time: values of a large state by which rounding is measured",
    "samples:ROWS_OF_AN_ENTRY": "memory: a family is judged by some of its members",
    "samples:SAMPLES": "memory: a family is judged by some of its members",
    "fingerprint:CACHED": "time: size of a part that is summed at once",
    "fingerprint:RUN": "time: how sums are divided",
    "literal: fingerprint 4": "time: how long a sum must be to be divided",
    "fingerprint:MOST_WEIGHTS": "memory: weights that need not be computed again",
    # places, and nothing at all
    "state_index:NOTHING": "the key of rows of zeros, far from every other",
    "fingerprint:COUNT": "a column",
    "fingerprint:ORDER": "a column",
    "differentiation:INPUTS": "place of an argument",
    "literal: attention_calls 9": "place of an argument",
    "literal: fingerprint 0.6180339887498949": "fixed weights without a pattern",
    "known_gradients:TINY": "no division by zero",
    "map_origin:TINY": "no division by zero",
    "deviation_records:TINY": "no division by zero",
    "literal: probe_families 1e-300": "no division by zero",
}
