"""Names of torch calls: which carry no values, which mix, which differentiate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

SILENT = frozenset(
    [
        "size",
        "dim",
        "numel",
        "is_floating_point",
        "is_complex",
        "stride",
        "storage_offset",
        "data_ptr",
        "element_size",
        "__repr__",
        "__str__",
        "__format__",
        "__len__",
        "__hash__",
        "__bool__",
        "__int__",
        "__float__",
        "__index__",
        "item",
        "tolist",
        "is_contiguous",
        "requires_grad_",
        "register_hook",
        "retain_grad",
        "has_names",
        "type",
        "__dir__",
        "numpy",
        "zeros_like",
        "ones_like",
        "empty_like",
        "rand_like",
        "randn_like",
        "full_like",
        "new_zeros",
        "new_ones",
        "new_empty",
        "new_full",
        "new_tensor",
        "is_inference",
        "is_nonzero",
        "equal",
        "allclose",
        "isfinite",
        "isnan",
        "__eq__",
        "__ne__",
        "__lt__",
        "__gt__",
        "__le__",
        "__ge__",
        "argmax",
        "argmin",
        "argsort",
        "is_same_size",
        "get_device",
        "__contains__",
        "isclose",
        "__deepcopy__",
        "__reduce_ex__",
        "ndimension",
        "nelement",
        "untyped_storage",
        "storage",
        "__array__",
    ]
)
SILENT_GETTERS = frozenset(
    [
        "shape",
        "dtype",
        "device",
        "is_leaf",
        "requires_grad",
        "ndim",
        "layout",
        "grad_fn",
        "is_cuda",
        "is_sparse",
        "is_quantized",
        "is_meta",
        "names",
        "itemsize",
        "nbytes",
        "_version",
        "_base",
        "output_nr",
        "is_nested",
        "is_mps",
        "is_cpu",
        "_grad_fn",
        "_backward_hooks",
        "is_xla",
        "is_mkldnn",
    ]
)
MIXING = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "__add__",
        "__radd__",
        "__sub__",
        "__rsub__",
        "__mul__",
        "__rmul__",
        "__truediv__",
        "matmul",
        "mm",
        "__matmul__",
        "__rmatmul__",
        "linear",
        "einsum",
        "add_",
        "sub_",
        "mul_",
        "div_",
        "__iadd__",
        "__isub__",
        "__imul__",
        "addmm",
        "bmm",
        "where",
        "lerp",
    ]
)
CUTTING = frozenset({"__getitem__", "narrow", "split", "chunk", "index_select", "select", "unbind"})
GRADIENTS = frozenset({"grad", "backward"})
EXPORTS = frozenset({"numpy", "__array__", "tolist", "__dlpack__"})


def call_name(func: Any) -> str:
    """Name of a torch function; of the attribute where it reads or writes one."""
    name = getattr(func, "__name__", "")
    if name in {"__get__", "__set__", "__delete__"}:
        return getattr(getattr(func, "__self__", None), "__name__", "")
    return str(name)


def is_getter(func: Any) -> bool:
    """Whether a torch function reads or writes an attribute of a tensor."""
    return getattr(func, "__name__", "") in {"__get__", "__set__", "__delete__"}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
