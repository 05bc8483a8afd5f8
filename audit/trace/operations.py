"""Operations below autograd by name: which make new values, which mix, which cut, which reshape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from audit.models.value_flow import tensors_among

CREATING = frozenset(
    [
        "zeros_like",
        "ones_like",
        "empty_like",
        "rand_like",
        "randn_like",
        "randint_like",
        "full_like",
        "new_zeros",
        "new_ones",
        "new_empty",
        "new_empty_strided",
        "new_full",
        "bernoulli",
        "multinomial",
    ]
)
"""Made in the likeness of an operand, without its values."""

RESHAPING = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "_reshape_alias",
        "unsqueeze",
        "squeeze",
        "unflatten",
        "detach",
        "alias",
        "clone",
        "contiguous",
        "lift_fresh",
        "_to_copy",
        "_conj",
        "positive",
        "view_as",
    ]
)
"""The same values in the same order."""

MIXING = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "mm",
        "addmm",
        "mv",
        "bmm",
        "baddbmm",
        "linear",
        "dot",
        "vdot",
        "add_",
        "sub_",
        "mul_",
        "div_",
        "where",
        "lerp",
        "addcmul",
    ]
)
CUTTING = frozenset(
    ["slice", "select", "split", "split_with_sizes", "unbind", "index", "index_select", "narrow"]
)


_REPLACING = frozenset({"set_", "resize_", "detach_"})  # other memory, or none: no write
_FIRST_ONLY = ("native_", "_native_", "_scaled_dot_product_", "cudnn_", "miopen_", "_fused_")


def results_of(name: str, out: Any) -> list[Tensor]:
    """The floating-point results, without what a kernel keeps for its backward pass."""
    if name.startswith(_FIRST_ONLY) and isinstance(out, (tuple, list)):
        out = out[:1]
    return [t for t in tensors_among(out) if t.is_floating_point()]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation below autograd, with what it got.

    Attributes:
        func: torch's own object for it, None where values only come from outside.
        name: without namespace and overload, such as ``_softmax``.
        args: by position.
        kwargs: by keyword.
        tensors: those among both, in their order.
    """

    func: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: list[Tensor]


def operation(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
    """An operation as a dispatch mode is given it."""
    name = str(func.overloadpacket.__name__)
    return Operation(func, name, args, kwargs, list(tensors_among((args, kwargs))))


def shown_name(name: str) -> str:
    """An operation's name as people know it."""
    if name.startswith("_scaled_dot_product_"):
        return "scaled_dot_product_attention"
    known = {"_native_multi_head_attention": "multi_head_attention", "_safe_softmax": "softmax"}
    return known.get(name, name.removeprefix("_"))


def writes_in_place(name: str) -> bool:
    """Whether an operation writes values into its first operand."""
    return name.endswith("_") and not name.endswith("__") and name not in _REPLACING
