"""What to do about a deviation from the unmodified model, said of the very deviation: principle 1.

Each sentence names what was found, where, and the change that mends it. The checks' *How to fix it*
says the same in general.
"""

from __future__ import annotations

from collections.abc import Iterable

from audit.trace.records import AttentionRecord, ChangeRecord, GradientRecord
from principles.finding_parts import at, listed

_READS = {
    "key-bias": "keys, or logits of attention before the softmax",
    "value-bias": "values by themselves",
    "query-key-rotation": "single channels of queries and keys",
    "query-key-mixing": "queries and keys by themselves, their lengths or cosines",
    "value-output-mixing": "values by themselves, their lengths or cosines",
    "head-permutation": "heads by their number",
    "neuron-permutation": "neurons by their number",
    "attention-norm-folding": "what the norm before the attention gives",
    "mlp-norm-folding": "what the norm before the MLP gives",
    "final-norm-folding": "what the final norm gives",
    "projection-rotation": "single channels of the features",
    "channel-permutation": "channels by their number",
    "relu-scaling": "activations by themselves, without their gradient",
    "batch-norm-scaling": "what a convolution gives before its batch norm",
}
"""By edit, what a map reads that moves under it."""


def of_weights(change: ChangeRecord) -> str:
    """For a parameter or buffer that differed."""
    name = f"'{change.path}' as it was" if change.path else "the model's parameters as they were"
    return (
        f"Leave {name} loaded{at(change.place)}, also for the time of the call: put "
        "scaled or masked values into a tensor of your own or into a hook, and load any copy from "
        "the model's own state dict in its dtype."
    )


def of_structure(change: ChangeRecord) -> str:
    """For a class, method, attribute, hook or flag that was not as before."""
    name = f"'{change.path}'" if change.path else "the model"
    if "hook" in change.what and change.when != "during":
        return (
            f"Keep the handle of the hook that is registered on {name}{at(change.place)} and call "
            "its remove() in a finally block."
        )
    if "replaced" in change.what or change.what.startswith("class "):
        return (
            f"Leave {name} as it is made ({change.what}){at(change.place)}: read its values "
            "with a forward hook that returns None, during the model's own forward pass."
        )
    if change.when == "during":
        return (
            f"Leave {name} as it is while the explanation runs ({change.what})"
            f"{at(change.place)}: compute with your own tensors what needs it otherwise."
        )
    return (
        f"Put {name} back before the explainer returns ({change.what}){at(change.place)}, in a "
        "finally block."
    )


def of_size(given: Iterable[int], place: str) -> str:
    """For pictures of another size than the given ones."""
    size = "x".join(map(str, given))
    return (
        f"Pass the pictures on at the {size} pixels in which they are given{at(place)}, and "
        "enlarge the map instead of the picture."
    )


def of_pixels(place: str) -> str:
    """For other pixels than the given ones."""
    return (
        f"Pass the given pixels on as they are{at(place)}: they are preprocessed already, so leave "
        "out any crop, padding, noise or normalization, or draw several altered pictures around "
        "the given one and explain with all of them."
    )


def of_text(place: str) -> str:
    """For other token ids than the given ones."""
    return (
        f"Pass the given token ids to the text tower{at(place)} instead of tokenizing a prompt of "
        "your own."
    )


def of_score(cause: str, place: str) -> str:
    """For a scalar that is not the model's score.

    Args:
        cause: what to mend upstream, a sentence or nothing.
        place: where the scalar is explained.
    """
    return (
        "Explain the score that the model itself gives of the pair, by its own encoders or "
        f"forward pass, instead of the one computed{at(place) or ' by own code'}. {cause}"
    ).strip()


def of_target(place: str) -> str:
    """For the model's score of another target."""
    return (
        f"Explain the score of the target that is given with the picture{at(place)}, row by row, "
        "instead of another one."
    )


def of_attention(record: AttentionRecord) -> str:
    """For attention that is not the model's."""
    block = record.where or f"block {record.block}"
    heads, model = record.executed_heads, record.model_heads
    read = "or read it with a hook during the model's own forward pass"
    if record.inside_model:
        return (
            f"Leave the attention of {block} of the {record.tower} tower to the model's own "
            f"module{at(record.place)}: hooks may read it and have to return None."
        )
    if heads and heads != model:
        return (
            f"Recompute the attention of {block} of the {record.tower} tower with the module's own "
            f"number of heads ({model}) in place of {heads}{at(record.place)}, {read}."
        )
    if record.hidden:
        return (
            f"Add the model's attention mask to the logits of the attention of {block} of the "
            f"{record.tower} tower before the softmax{at(record.place)}, {read}."
        )
    return (
        f"Compute the attention of {block} of the {record.tower} tower from the block's own input "
        f"as its module does ({model} heads, the same scale, mask and bias){at(record.place)}, "
        f"{read}."
    )


def of_entrance(tower: str, where: str, params: Iterable[str], place: str) -> str:
    """For values that are not the model's and enter a part of it."""
    modules = listed((name.rpartition(".")[0] or name for name in params), 2)
    own = (
        f" Call {modules} as a module instead of computing with its parameters." if modules else ""
    )
    return (
        f"Hand to {where} of the {tower} tower what the model hands to it{at(place)}: leave out "
        "what alters the values on the way, or compute the part before it exactly as the model "
        f"does.{own}"
    )


def of_own_block(params: Iterable[str], place: str) -> str:
    """For a block that is computed by the explainer's own code."""
    names = dict.fromkeys(name.rpartition(".")[0] or name for name in params)
    modules = f"module{'' if len(names) == 1 else 's'} {listed(names, 2)}"
    return (
        f"Call the model's own {modules} instead of computing with its parameters{at(place)}, or "
        "read what is needed with a hook."
    )


def of_gradient(record: GradientRecord) -> str:
    """For a gradient that is not the model's own."""
    rule = f" ({listed([record.rule], 1)})" if record.rule else ""
    return (
        f"Take the gradient by {record.by}{at(record.place)} of the model's own score with "
        f"autograd alone: remove what replaces it on the way{rule}. Where that rule is the method, "
        "say so and waive P110 with that reason."
    )


def of_edits(edits: Iterable[str]) -> str:
    """For a map that moves under edits which keep the model's function."""
    names = list(dict.fromkeys(edits))
    reads = list(dict.fromkeys(_READS.get(name, "the states it changes") for name in names))
    return (
        f"The map reads {'; '.join(reads[:3])}, which {listed(names, 3)} change while every score "
        "stays. Build it from scores, features, attention probabilities, gradients for pixels, or "
        "a state times its own gradient."
    )


def of_survival(stage: str, *, same: bool) -> str:
    """For a map that a model of random numbers gets as well.

    Args:
        stage: what was drawn anew when the map still stood.
        same: whether it is the same map, bit for bit or nearly.
    """
    if same:
        return (
            "The map never looks at the model: let the score of the pair enter it, by gradients or "
            "by removing parts of the picture, or declare model_free = True and do not call it an "
            "explanation."
        )
    return (
        f"The map outlasts new parameters up to '{stage}', so most of it comes from the picture, "
        "positions or an early layer: weigh activations of later blocks by gradients of the score, "
        "and leave out multiplication by the picture."
    )


def of_effects(pair: str, hint: str) -> str:
    """For a map that finds what matters to the model no better than one that ignores it.

    Args:
        pair: on which it does worst.
        hint: what the maps look like against the effects, a sentence or nothing.
    """
    usual = (
        "Compare the map of pair '{}' with the removal effects beside it: a map transposed, "
        "flipped or shifted by the class token, a sign lost by an absolute value or ReLU, or the "
        "score of another text are the usual causes."
    )
    return f"{hint or usual.format(pair)} If the map is in place, use a signal closer to the score."


def of_company(*, again: bool, beside_itself: bool, change: str) -> str:
    """For a map that depends on its neighbors or its turn.

    Args:
        again: whether the same call gave another map.
        beside_itself: whether it differs in a batch of nothing but the pair.
        change: where it changes most, in words.
    """
    if again:
        return (
            "Keep nothing between calls, and put the model in eval mode; if the method draws "
            "random numbers, declare stochastic = True and draw for each pair from a generator "
            "with a seed of its own."
        )
    if beside_itself:
        return (
            "Draw random numbers for each pair from a generator with a seed of its own instead of "
            "once for the batch, or declare stochastic = True."
        )
    return (
        f"Explain each pair by itself (it changes most {change}): sum the scores of the batch "
        "before the gradient is taken, and do not normalize, average or attend over the batch axis."
    )
