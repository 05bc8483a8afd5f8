"""What to do about maps whose quality does not follow the model, said of this case: principle 2."""

from __future__ import annotations

from audit.result.wording import number, percent


def of_ladder(rung: str, quality: tuple[float, float], accuracy: tuple[float, float]) -> str:
    """For maps that do not follow accuracy over the ladder.

    Args:
        rung: the one of the lowest accuracy.
        quality: of the maps on the unmodified model and there.
        accuracy: of both.
    """
    return (
        f"Compare the maps on the unmodified model (quality {number(quality[0])}, accuracy "
        f"{percent(accuracy[0])}) with those on '{rung}' ({number(quality[1])}, "
        f"{percent(accuracy[1])}): what looks alike in both comes from the picture or the "
        "positions. Weigh activations by gradients of the score, and leave out priors such as "
        "centering or smoothing."
    )


def of_samples(pair: str, quality: float) -> str:
    """For maps that are no better where the model is right.

    Args:
        pair: of those about which it is wrong, the one with the best map.
        quality: of that map.
    """
    return (
        f"Look at pair '{pair}', about which the model is wrong and whose map is good all the same "
        f"({number(quality)}): there the method finds the object without the model's score. "
        "Explain the score of the pair's own target, with its sign, and leave out attention or "
        "norms alone."
    )


def of_classes(name: str, accuracy: float, quality: float) -> str:
    """For maps that do not follow accuracy over classes; the class is the one most out of line."""
    return (
        f"Look at the class '{name}': the model is right about {percent(accuracy)} of its pairs, "
        f"and its maps have quality {number(quality)}, more than that of classes it knows better. "
        "Explain the score of the class that is asked for, and leave out what marks any object."
    )


def of_worse_model(executed: float, model: float) -> str:
    """For a worse model whose maps are better."""
    return (
        f"Compute the maps from the model's own forward pass, which is right on {percent(model)} "
        f"where what is executed now is on {percent(executed)}: P104 and P105 name the line and "
        "what to change. Do not trade the model's accuracy for better localized maps."
    )


def of_target(pair: str, absent: str, *, declared: bool) -> str:
    """For maps that stay on the object whatever is asked for.

    Args:
        pair: whose map moves least.
        absent: the class that it was asked for and that the picture does not show.
        declared: whether the explainer says that it ignores the target.
    """
    if declared:
        return (
            "The explainer declares that it ignores the target: say so where its maps are shown, "
            "and waive P205 with that reason, or let the target's score enter the map."
        )
    return (
        f"On pair '{pair}' the map asked for '{absent}', which is not there, is the same: let the "
        "target's score enter the map by weighing activations with its gradients, sign kept, "
        "instead of attention, norms or averages over targets; or declare text_specific = False."
    )


def of_controls(control: str, pair: str) -> str:
    """For maps that one which never looks at the model equals."""
    return (
        f"Look at pair '{pair}', where {control} does best beside the map: check that the map is "
        "not transposed, flipped, shifted by the class token or of the wrong sign. If it is in "
        f"place, use another layer or method; do not add {control} to the map."
    )
