"""The module that is audited where a caller hands in one that torch has wrapped."""

from __future__ import annotations

import torch
from torch import nn

from audit.models.errors import ModelError

_COMPILED = "_orig_mod"  # where torch.compile keeps the module that it was given


def plain_module(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module whose parts can be watched as they compute, and what is to be told of it.

    Args:
        module: as it was handed in; a compiled one gives the module that was compiled.

    Raises:
        ModelError: it is scripted or traced, or a part of it is: nothing is seen of what runs in
            it, and nothing of it can be replayed.
    """
    compiled = getattr(module, _COMPILED, None)
    if isinstance(compiled, nn.Module):
        inner, notes = plain_module(compiled)
        told = "The model was compiled; the audit runs the module that torch.compile was given."
        return inner, (told, *notes)
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            where = f"its part '{path}' is" if path else "it is"
            raise ModelError(
                f"expected a module of Python code as the model, got {type(module).__name__}: "
                f"{where} a torch.jit.ScriptModule, whose inside cannot be watched; give the "
                "module that it was made of"
            )
    return module, ()
