"""A device beside the CPU, without a GPU: mixing tensors of the two raises, as CUDA would.

`FakeTensorMode` knows shapes only, so that nothing which looks at a value runs under it (picking
distinct pictures, drawing weights, proving an edit). Here a tensor of the other device keeps its
values on the CPU, and only says that it is elsewhere. So whole stages of an audit can be run.
"""

from __future__ import annotations

import contextlib
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

OTHER = torch.device("meta")  # a name that torch takes for a device without asking for a driver
_MOVES = {"_to_copy", "copy_"}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}  # indices may lie on the CPU


class Elsewhere(torch.Tensor):
    """A tensor of the other device; its values lie on the CPU."""

    @staticmethod
    def __new__(cls, values):
        made = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001 - torch's own
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=OTHER,
        )
        made.values_here = values
        return made

    is_meta = False

    def __repr__(self):
        return f"Elsewhere({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


class OtherDeviceError(RuntimeError):
    """Two tensors meet that lie on different devices."""


def dispatched(func, args, kwargs):
    """Run an operator on the values, and say where its result lies."""
    name = func.overloadpacket.__name__
    there, here = _places((args, kwargs))
    if name in _INDEXED and isinstance(args[0], Elsewhere):
        here = _places((args[0], args[2:]))[1]
    if there and here and name not in _MOVES:
        raise OtherDeviceError(f"{func}: expected all tensors to be on the same device")
    wanted = kwargs.get("device")
    if wanted is not None:
        there = torch.device(wanted) == OTHER
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if there and kwargs.get("generator") is not None:
        raise OtherDeviceError(f"{func}: expected a generator of the device, got one of the CPU")
    plain_args, plain_kwargs = tree_map_only(torch.Tensor, _values, (args, kwargs))
    found = func(*plain_args, **plain_kwargs)
    if name.endswith("_") and not name.endswith("__"):  # in place
        return args[0]
    return tree_map_only(torch.Tensor, Elsewhere, found) if there else found


def _values(t):
    """Values on the CPU; of a number that autograd makes on the device by itself, its zero."""
    if isinstance(t, Elsewhere):
        return t.values_here
    return torch.zeros_like(t, device="cpu") if t.is_meta and t.ndim == 0 else t


def _places(tree):
    """Whether tensors of the other device are among these, and tensors of the CPU."""
    tensors = [t for t in tree_flatten(tree)[0] if isinstance(t, torch.Tensor)]
    there = [isinstance(t, Elsewhere) for t in tensors]
    numbers = [t.ndim == 0 for t in tensors]  # a single number of the CPU may meet any tensor
    return any(there), any(not a and not b for a, b in zip(there, numbers, strict=True))


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


class _Makers(TorchFunctionMode):
    """Calls that would not reach the operators with their values, for this name of a device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in {"tensor", "as_tensor"}:
            device = torch.device(kwargs.pop("device", None) or "cpu")
            return func(*args, **kwargs).to(device)
        if name == "new_tensor":
            return torch.tensor(args[1], **{"dtype": args[0].dtype, **kwargs}).to(args[0].device)
        if name == "tolist":
            return args[0].cpu().tolist()
        if name in {"__getitem__", "__setitem__"} and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        return func(*args, **kwargs)


@contextlib.contextmanager
def other_device():
    """Within, tensors can be moved to `OTHER` and keep their values.

    What the audit looks at beside an explainer, without the modes of others, needs these two.
    """
    looking = mock.patch("audit.trace.instrument.modes_set_aside", contextlib.nullcontext)
    with _Makers(), _Operators(), looking:
        yield OTHER


def moved(module):
    """A module with all its tensors on the other device."""
    for part in module.modules():
        for name, parameter in part._parameters.items():  # noqa: SLF001 - torch's own
            if parameter is not None:
                there = Elsewhere(parameter.detach())
                part._parameters[name] = torch.nn.Parameter(there, parameter.requires_grad)  # noqa: SLF001 - torch's own
        for name, buffer in part._buffers.items():  # noqa: SLF001 - torch's own
            part._buffers[name] = None if buffer is None else Elsewhere(buffer)  # noqa: SLF001 - torch's own
    return module
