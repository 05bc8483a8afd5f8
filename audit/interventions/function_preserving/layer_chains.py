"""Layers that feed one another alone, found by following the tensors through a model.

The model is traced symbolically (torch.fx). Where that fails, as it does where the code looks at
values, its parts are traced one by one, so that the two layers of an MLP are found in a transformer
that cannot be traced as a whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from audit.interventions.copies import copy_with

_HOMOGENEOUS = (
    nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten,
)  # fmt: skip
_CHANNEL_WISE = (
    *_HOMOGENEOUS, nn.ReLU6, nn.Hardtanh, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Tanh, nn.Sigmoid, nn.ELU, nn.SELU, nn.CELU, nn.Softplus,
)  # fmt: skip
_HOMOGENEOUS_CALLS = frozenset((
    "relu", "relu_", "leaky_relu", "leaky_relu_", "dropout", "dropout2d", "max_pool2d",
    "avg_pool2d", "adaptive_avg_pool2d", "flatten", "contiguous",
))  # fmt: skip
_CHANNEL_WISE_CALLS = _HOMOGENEOUS_CALLS | frozenset((
    "relu6", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "tanh", "sigmoid", "elu", "selu",
    "celu", "softplus",
))  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """Two layers of which the second alone receives what the first gives, channel by channel.

    Attributes:
        first: dotted name of the convolution or linear layer that gives the channels.
        between: names of batch norms and depthwise convolutions on the way, in order.
        last: the convolution or linear layer that receives them.
        homogeneous: whether scaled channels arrive as scaled: nothing but ReLU, pooling and batch
            norm lies between.
    """

    first: str
    between: tuple[str, ...]
    last: str
    homogeneous: bool

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"layers {self.first} to {self.last}"


@dataclass(frozen=True)
class Normalized:
    """A convolution or linear layer, and the batch norm that alone receives what it gives."""

    layer: str
    norm: str

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"layers {self.layer} and {self.norm}"


@dataclass(frozen=True)
class Layers:
    """What was found in a model, in the order of its computation."""

    chains: tuple[Chain, ...] = ()
    normalized: tuple[Normalized, ...] = ()


def layers_of(model: nn.Module) -> Layers:
    """The chains and normalized layers of a model; none where nothing of it can be traced.

    Args:
        model: left as it is; a copy is traced.
    """
    chains: list[Chain] = []
    normalized: list[Normalized] = []
    for path, graph, root in _graphs("", copy_with(model, {})):
        calls = _Calls(path, graph, root)
        for node in graph.nodes:
            layer = calls.layer(node)
            if layer is not None:
                chains += calls.chain(node)
                normalized += calls.normalized(node)
    return Layers(tuple(chains), tuple(normalized))


def is_depthwise(layer: nn.Module) -> bool:
    """Whether a layer is a convolution of each channel by itself."""
    return (
        isinstance(layer, _ConvNd) and 1 < layer.groups == layer.in_channels == layer.out_channels
    )


class _Tracer(fx.Tracer):
    """Takes layers of known meaning as a whole, subclasses of other libraries included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (_ConvNd, nn.Linear, _BatchNorm, nn.LayerNorm, *_CHANNEL_WISE))
        return known or super().is_leaf_module(m, module_qualified_name)


def _graphs(path: str, module: nn.Module) -> Iterator[tuple[str, fx.Graph, nn.Module]]:
    """The graphs of the largest parts that can be traced, with their dotted names."""
    children = [(name, child) for name, child in module.named_children()]
    if not children:
        return
    traced = _traced(module)
    if traced is not None:
        yield path, traced, module
        called = {node.target for node in traced.nodes if node.op == "call_module"}
        nested = [(str(n), module.get_submodule(str(n))) for n in sorted(called, key=str)]
        children = [(n, m) for n, m in nested if not isinstance(m, _BatchNorm)]
    for name, child in children:
        yield from _graphs(f"{path}.{name}" if path else name, child)


def _traced(module: nn.Module) -> fx.Graph | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Tracer().trace(module)
    except Exception:  # noqa: BLE001 - the code of a model may fail in any way on symbols
        return None


class _Calls:
    """The calls of a traced part, and the layers that they are of."""

    def __init__(self, path: str, graph: fx.Graph, root: nn.Module) -> None:
        self._prefix = f"{path}." if path else ""
        self._root = root
        called = [str(n.target) for n in graph.nodes if n.op == "call_module"]
        self._once = {name for name in called if called.count(name) == 1}
        self._tied = _tied(root)

    def layer(self, node: fx.Node) -> nn.Module | None:
        """The convolution or linear layer that a node calls, and nobody else does."""
        found = self._module(node)
        plain = isinstance(found, (_ConvNd, nn.Linear)) and not isinstance(found, _ConvTransposeNd)
        return found if plain else None

    def normalized(self, node: fx.Node) -> Iterator[Normalized]:
        """The layer of a node with the batch norm behind it."""
        after = _only_user(node)
        norm = None if after is None else self._module(after)
        if after is not None and isinstance(norm, _BatchNorm) and norm.running_var is not None:
            yield Normalized(self._name(node), self._name(after))

    def chain(self, node: fx.Node) -> Iterator[Chain]:
        """The chain that begins at a node, if one does."""
        first = self.layer(node)
        if isinstance(first, _ConvNd) and first.groups != 1:
            return
        between: list[str] = []
        homogeneous = True
        after = _only_user(node)
        while after is not None:
            module = self._module(after)
            if self.layer(after) is not None and not is_depthwise(module):  # type: ignore[arg-type]
                if not isinstance(module, _ConvNd) or module.groups == 1:
                    yield Chain(self._name(node), tuple(between), self._name(after), homogeneous)
                return
            if module is not None and (isinstance(module, _BatchNorm) or is_depthwise(module)):
                activations = list(module.children())  # of timm's norms
                if not all(isinstance(m, _CHANNEL_WISE) for m in activations):
                    return
                between.append(self._name(after))
                homogeneous &= all(isinstance(m, _HOMOGENEOUS) for m in activations)
            elif not _passes(after, module, _CHANNEL_WISE, _CHANNEL_WISE_CALLS):
                return
            else:
                homogeneous &= _passes(after, module, _HOMOGENEOUS, _HOMOGENEOUS_CALLS)
            after = _only_user(after)

    def _name(self, node: fx.Node) -> str:
        return f"{self._prefix}{node.target}"

    def _module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls; one with weights where nothing else has or calls them."""
        if node.op != "call_module":
            return None
        found = self._root.get_submodule(str(node.target))
        own = [id(parameter) for parameter in found.parameters()]
        shared = node.target not in self._once or not self._tied.isdisjoint(own)
        return None if own and shared else found


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _passes(
    node: fx.Node,
    module: nn.Module | None,
    kinds: tuple[type[nn.Module], ...],
    calls: frozenset[str],
) -> bool:
    """Whether a node hands on one tensor, by a kind of module or a function of these names."""
    if len(node.all_input_nodes) != 1:
        return False
    if module is not None:
        return type(module) in kinds
    if node.op == "call_method":
        return node.target in calls or _pools(node)
    name = getattr(node.target, "__name__", "")
    return node.op == "call_function" and (name in calls or _pools(node))


def _pools(node: fx.Node) -> bool:
    """Whether a node takes the mean over rows and columns, as a global pooling does."""
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return name == "mean" and isinstance(dims, (list, tuple)) and set(dims) in ({2, 3}, {-1, -2})


def _tied(root: nn.Module) -> set[int]:
    """Parameters that have several names."""
    found: dict[int, int] = {}
    for _, parameter in root.named_parameters(remove_duplicate=False):
        found[id(parameter)] = found.get(id(parameter), 0) + 1
    return {key for key, count in found.items() if count > 1}
