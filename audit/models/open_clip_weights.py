"""Weights out of a file for a model of open_clip, in the forms that its training code has written.

open_clip reads such files itself, and says nothing of what it changes on the way; here they are
read without running code (`audit.models.checkpoints`), checked, and what is changed is told.
"""

from __future__ import annotations

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from torch import Tensor, nn

from audit.models.checkpoints import lay_into, read_state

_POSITION_IDS = "text.transformer.embeddings.position_ids"


def load_weights(module: nn.Module, file: str) -> tuple[str, ...]:
    """Put the weights of a file into a model of open_clip.

    Returns:
        What was changed on the way, as sentences.

    Raises:
        ModelError: unreadable, of another architecture, or values that are no finite numbers.
    """
    read = read_state(file, module.state_dict())
    state = convert_state_dict(module, read.tensors)
    if "positional_embedding" in state and not hasattr(module, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = module.state_dict()
    for name in ("logit_scale", "logit_bias"):  # a number, or a list of one
        if name in state and name in own and state[name].numel() == own[name].numel():
            state[name] = state[name].reshape(own[name].shape)
    if "logit_bias" in own and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros_like(own["logit_bias"])
    if _POSITION_IDS not in own:
        state.pop(_POSITION_IDS, None)
    resized = _resize(module, state)
    lay_into(module, state, file)
    told = [read.told] if read.told else []
    if resized:
        told.append(
            f"The checkpoint '{file}' is of another size: {', '.join(resized)} interpolated."
        )
    return tuple(told)


def activation_notes(source: str, tag: str) -> tuple[str, ...]:
    """Weights that were trained with another activation function than the architecture has."""
    trained = bool(open_clip.get_pretrained_cfg(source, tag).get("quick_gelu", False))
    built = bool((open_clip.get_model_config(source) or {}).get("quick_gelu", False))
    if trained == built:
        return ()
    names = {True: "QuickGELU", False: "GELU"}
    other = f"{source}-quickgelu" if trained else source.removesuffix("-quickgelu")
    fits = other in open_clip.list_models() and tag in open_clip.list_pretrained_tags_by_model(
        other
    )
    remedy = f" Use '--model {other} --pretrained {tag}', which has the right one." if fits else ""
    told = (
        f"The weights '{tag}' were trained with {names[trained]}, and '{source}' computes with "
        f"{names[built]}: this is another model than the one that was published.{remedy}"
    )
    return (told,)


def _resize(module: nn.Module, state: dict[str, Tensor]) -> list[str]:
    """Fit the tables of positions to the model's size; names of those that were not of it."""
    before = {name: tensor.shape for name, tensor in state.items() if "positional" in name}
    resize_pos_embed(state, module)
    resize_text_pos_embed(state, module)
    return [name for name, shape in before.items() if state[name].shape != shape]
