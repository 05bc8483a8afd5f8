"""Checkpoints: reading weights from a file without running code, and laying them into a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from audit.models.checkpoint_wrappers import TABLES, unprefixed, unwrapped
from audit.models.errors import ModelError

UNREADABLE = (
    RuntimeError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)
_SHOWN = 3


@dataclass(frozen=True)
class Read:
    """What a checkpoint file holds.

    Attributes:
        tensors: by dotted name, on the CPU.
        told: what was taken off around them, in words; empty where they stood plainly.
    """

    tensors: dict[str, Tensor]
    told: str = ""


def read_state(file: str, own: Collection[str] = ()) -> Read:
    """Tensors of a checkpoint by dotted name, on the CPU.

    No code of the file is run: safetensors holds none, and every other file is read by torch's
    reader of plain tensors (``weights_only``).

    Args:
        file: safetensors, or what ``torch.save`` wrote of a state dict, or of a dictionary with a
            ``state_dict`` or ``model`` in it; prefixes of training code before all names, such as
            ``module.`` or ``_orig_mod.``, are left out.
        own: names of the model that is to get them; a prefix that one of them bears stays.

    Raises:
        ModelError: the file is missing, unreadable, or holds something else.
    """
    if not Path(file).is_file():
        raise ModelError(f"no checkpoint file '{file}'; give the path of an existing file")
    try:
        if Path(file).suffix == ".safetensors":
            found: object = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"cannot read checkpoint '{file}': {cause}; give a safetensors file, or a state dict "
            "of plain tensors written by torch.save"
        ) from error
    state, tables = unwrapped(found)
    if state is None:
        raise ModelError(
            f"checkpoint '{file}': expected tensors by name, or one of {', '.join(TABLES)} that "
            f"holds them, found {type(found).__name__} of other things; save model.state_dict()"
        )
    tensors, prefixes = unprefixed(state, own)
    taken = [f"the table '{table}'" for table in tables]
    taken += [f"the prefix '{prefix}' of all names" for prefix in prefixes]
    told = f"The checkpoint '{file}' was read without {' and '.join(taken)}." if taken else ""
    return Read(tensors, told)


def lay_into(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Overwrite all parameters and buffers of a model; names and shapes must agree exactly.

    Args:
        module: the model; it keeps its device and dtype.
        state: tensors by dotted name.
        source: of the tensors, for messages.

    Raises:
        ModelError: another architecture, other kinds of numbers, or values that are not finite.
    """
    own = module.state_dict()
    wrong = [
        *(
            f"{n} has shape {tuple(state[n].shape)}, expected {tuple(t.shape)}"
            for n, t in own.items()
            if n in state and state[n].shape != t.shape
        ),
        *(f"{n} is missing" for n in own if n not in state),
        *(f"{n} is unknown" for n in state if n not in own),
    ]
    if wrong:
        raise ModelError(
            f"checkpoint '{source}' is of another architecture than the model: {_some(wrong)}; "
            "give weights of the model's own architecture"
        )
    kinds = [f"{n} is {_kind(state[n])}" for n, t in own.items() if _kind(state[n]) != _kind(t)]
    if kinds:
        raise ModelError(
            f"checkpoint '{source}' holds other kinds of numbers than the model: {_some(kinds)}; "
            "give plain tensors of real numbers"
        )
    expect_finite(state, source)
    module.load_state_dict(dict(state))


def expect_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Every value of weights is a finite number.

    Raises:
        ModelError: names the tensors where one is not.
    """
    broken = [n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all()]
    if broken:
        raise ModelError(
            f"checkpoint '{source}' holds values that are no finite numbers: {_some(broken)}; "
            "give another checkpoint"
        )


def all_different(
    own: str, sources: Sequence[str], digest_of: Callable[[str], str], message: str
) -> dict[str, str]:
    """Hash of the weights of each source, none of which may be those of another.

    Args:
        own: hash of the model under audit.
        sources: in their order.
        digest_of: loads a source, and hashes it.
        message: for weights given twice, with ``{source}`` and ``{other}``.

    Raises:
        ModelError: the same weights twice, and whatever ``digest_of`` raises.
    """
    seen, digests = {own: "the model under audit"}, {}
    for source in sources:
        digest = digest_of(source)
        if digest in seen:
            raise ModelError(message.format(source=source, other=seen[digest]))
        seen[digest] = f"'{source}'"
        digests[source] = digest
    return digests


def state_sha256(module: nn.Module) -> str:
    """Hash of all parameters and buffers of a model, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
            if tensor.ndim
            else str(tensor.item()).encode()
        )
    return digest.hexdigest()


def _kind(tensor: Tensor) -> str:
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_complex():
        return "complex"
    if tensor.is_floating_point():
        return "floating point"
    return "boolean" if tensor.dtype is torch.bool else "whole numbers"


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    rest = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
