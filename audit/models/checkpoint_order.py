"""Weights under other names: laid into a model by their order, where that is unambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.models.checkpoints import lay_into, read_state

_COUNTER = "num_batches_tracked"  # of batches seen in training; no forward pass in eval reads it


def load_file(module: nn.Module, file: str) -> tuple[str, ...]:
    """Put the weights of a file into a model of any library.

    Returns:
        What was changed on the way, as sentences.

    Raises:
        ModelError: unreadable, of another architecture, or values that are no finite numbers.
    """
    own = module.state_dict()
    read = read_state(file, own)
    state, told = in_order(own, read.tensors, file)
    counters = {n: t for n, t in own.items() if n.endswith(_COUNTER) and n not in state}
    lay_into(module, {**state, **counters}, file)
    return tuple(note for note in (read.told, told) if note)


def in_order(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], file: str
) -> tuple[dict[str, Tensor], str]:
    """A state under the model's own names, by order where all names differ.

    Args:
        own: the state of the model.
        state: of the checkpoint.
        file: that it comes from, for the note.

    Returns:
        The state as it is, or renamed where no name agrees while number, order and shapes of the
        tensors do (but for counters of batches); and what is to be told of that. A safetensors
        file has no order of its own, so that it is never renamed.
    """
    ours, theirs = (_without_counters(s) for s in (own, state))
    if set(ours) & set(theirs) or Path(file).suffix == ".safetensors":
        return dict(state), ""
    same = [t.shape for t in ours.values()] == [t.shape for t in theirs.values()]
    if not theirs or not same:
        return dict(state), ""
    told = (
        f"The tensors of the checkpoint '{file}' have other names than the model's; since all "
        f"{len(ours):,} agree in order and shape, they were laid into it in this order."
    )
    return dict(zip(ours, theirs.values(), strict=True)), told


def _without_counters(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTER)}
