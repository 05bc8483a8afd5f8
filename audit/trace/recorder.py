"""Records what an explainer executes on a model, without changing the model.

A `TorchFunctionMode` sees every torch call of the explainer and of the model's modules; global
module hooks see the modules at the time of use. Values are compared at once with the states of a
pristine copy on the same input (see `audit.trace.lineage`), so that nothing large is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.anatomy import Anatomy, Tower, TowerName, anatomy_of
from audit.trace.anchors import AnchorIndex
from audit.trace.fingerprint import Prints, fingerprint
from audit.trace.frames import Frames, Place
from audit.trace.integrity import Change, Integrity, same_values
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.states import block_states, embedding_states, final_states

_SILENT = frozenset(
    "size dim numel is_floating_point is_complex stride storage_offset data_ptr element_size "
    "__repr__ __str__ __format__ __len__ __hash__ __bool__ __int__ __float__ __index__ item tolist "
    "is_contiguous requires_grad_ register_hook retain_grad has_names type __dir__ numpy "
    "zeros_like ones_like empty_like rand_like randn_like full_like new_zeros new_ones new_empty "
    "new_full new_tensor is_inference is_nonzero equal allclose isfinite isnan __eq__ __ne__ __lt__ "
    "__gt__ __le__ __ge__ argmax argmin argsort is_same_size get_device __contains__ isclose "
    "__deepcopy__ __reduce_ex__ ndimension nelement untyped_storage storage __array__".split()
)
_SILENT_GETTERS = frozenset(
    "shape dtype device is_leaf requires_grad ndim layout grad_fn is_cuda is_sparse is_quantized "
    "is_meta names itemsize nbytes _version _base output_nr is_nested is_mps is_cpu _grad_fn "
    "_backward_hooks is_xla is_mkldnn".split()
)
_MIXING = frozenset(
    "add sub mul div __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ matmul mm "
    "__matmul__ __rmatmul__ linear einsum add_ sub_ mul_ div_ __iadd__ __isub__ __imul__ addmm bmm "
    "where lerp".split()
)
_GRADIENTS = frozenset({"grad", "backward"})


@dataclass
class Expected:
    """The model's attention of the pooled token of each row, mean over heads, (b, t)."""

    rows: Tensor
    pooled: Tensor


@dataclass
class Run:
    """A pass from the first layer, or from where altered values entered.

    Attributes:
        tower: which tower.
        number: 0 and 1 are the given picture and text.
        inherits: what deviates upstream of where it starts.
        tokens: token ids of a text run, for the pooled position.
        blocks: blocks whose states are registered.
        attention: per block, what attention the model has there.
    """

    tower: TowerName
    number: int
    inherits: Lineage
    tokens: Tensor | None
    blocks: set[int] = field(default_factory=set)
    attention: dict[int, Expected] = field(default_factory=dict)


@dataclass
class Entry:
    """What entered a first layer."""

    tower: TowerName
    inputs: Tensor
    place: Place


@dataclass
class ScalarSeen:
    """A tensor that was differentiated."""

    value: Tensor
    lineage: Lineage
    place: Place


@dataclass
class AttentionSeen:
    """An attention call that differs from the model's."""

    tower: TowerName
    block: int
    operation: str
    heads: int
    executed: Tensor | None
    model: Tensor | None
    prints: Prints
    inside_model: bool
    place: Place


@dataclass
class AlterationSeen:
    """Values that are not the model's, at the entrance of a block or of the final norm."""

    tower: TowerName
    block: int
    lineage: Lineage
    surrogate: bool
    prints: Prints
    place: Place


class Recorder(TorchFunctionMode):
    """Context manager under which one explanation of one pair is traced.

    Args:
        model: the model that the explainer receives.
        pristine: a deep copy that nobody else touches.
        integrity: a snapshot of ``model``.
        image: the pair's picture, (1, 3, H, W).
        tokens: the pair's token ids, (1, context).
    """

    def __init__(
        self,
        model: nn.Module,
        pristine: nn.Module,
        integrity: Integrity,
        image: Tensor,
        tokens: Tensor,
    ) -> None:
        super().__init__()
        self.anatomy: Anatomy = anatomy_of(pristine)
        self.integrity = integrity
        self.frames = Frames(model)
        self.given: dict[TowerName, Tensor] = {"image": image, "text": tokens}
        heads = frozenset(b.heads for t in (self.anatomy.image, self.anatomy.text) for b in t.blocks)
        dtype = next(pristine.parameters()).dtype
        self.index = AnchorIndex(heads, dtype)
        self.lineages: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.runs: list[Run] = []
        self.entries: list[Entry] = []
        self.scalars: list[ScalarSeen] = []
        self.attention: list[AttentionSeen] = []
        self.attention_calls = 0
        self.alterations: list[AlterationSeen] = []
        self.foreign: list[Place] = []
        self.uses: dict[tuple[str, Place], int] = {}
        self.changes: dict[Change, Place] = {}
        self.copies: dict[str, str] = {}
        self.clean: set[TowerName] = set()
        self._busy = False
        self._handles: list[Any] = []
        self._paths = {id(state.module): path for path, state in integrity.modules.items()}
        self._kept: list[nn.Module] = [pristine]
        self._foreign_ids = {id(m) for m in pristine.modules()}
        self._classes = {type(m) for m in model.modules()}
        self._norms = self._norm_paths()
        self._entrances = self._entrance_paths()
        self._harmless = {"logit_scale", "logit_bias"}
        self._register_parameters(model, "")
        with torch.no_grad():
            self._open(self.anatomy.image, image, Lineage())
            self._open(self.anatomy.text, tokens, Lineage())
            for tower in (self.anatomy.image, self.anatomy.text):
                self._whole(tower)

    # -- set-up ---------------------------------------------------------------------------------

    def _norm_paths(self) -> dict[str, tuple[Tower, int]]:
        paths = {}
        for tower in (self.anatomy.image, self.anatomy.text):
            for block in tower.blocks:
                paths[f"{block.path}.ln_1.weight"] = (tower, block.index)
            prefix = f"{tower.path}." if tower.path else ""
            last = "ln_post" if tower.name == "image" else "ln_final"
            paths[f"{prefix}{last}.weight"] = (tower, len(tower.blocks))
        return paths

    def _entrance_paths(self) -> dict[str, Tower]:
        text = self.anatomy.text
        prefix = f"{text.path}." if text.path else ""
        return {
            f"{self.anatomy.image.path}.conv1.weight": self.anatomy.image,
            f"{prefix}token_embedding.weight": text,
        }

    def _register_parameters(self, module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters(remove_duplicate=False):
            path = f"{prefix}.{name}" if prefix else name
            if name not in self._harmless:
                self.lineages[parameter] = Lineage(params=frozenset({path}))

    def _whole(self, tower: Tower) -> None:
        """Register every state of the given input."""
        run = next(r for r in self.runs if r.tower == tower.name)
        x = tower.embed(self.given[tower.name])
        for block in tower.blocks:
            self._block(tower, block.index, x, run)
            x = block.run(x, tower.mask(x.shape[1]))
        self._final(tower, x, run)

    # -- context --------------------------------------------------------------------------------

    def __enter__(self) -> Recorder:
        self._handles = [
            module_hooks.register_module_forward_pre_hook(self._before_module),
        ]
        super().__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        for handle in self._handles:
            handle.remove()

    # -- modules --------------------------------------------------------------------------------

    def _before_module(self, module: nn.Module, _: object) -> None:
        if self._busy or id(module) in self._foreign_ids:
            return
        path = self._paths.get(id(module))
        self._busy = True
        try:
            if path is None:
                self._adopt(module)
            elif path in self.integrity.modules:
                self._check_module(path)
        finally:
            self._busy = False

    def _check_module(self, path: str) -> None:
        found = [
            *self.integrity.weights_of(path, "during"),
            *self.integrity.structure_of(path, "during"),
        ]
        if path == "" or path == self.anatomy.image.path:
            found += self.integrity.library("during")
        if found:
            place, _ = self.frames.caller()
            for change in found:
                self.changes.setdefault(change, place)

    def _adopt(self, module: nn.Module) -> None:
        """Recognize a copy of the model, or of a part of it, by structure and content."""
        self._kept.append(module)
        self._foreign_ids.add(id(module))
        own = dict(module.named_parameters())
        if type(module) not in self._classes or len(own) < 4:
            return
        best, equal = None, -1
        for path, state in self.integrity.modules.items():
            theirs = {n: self.integrity.originals[_join(path, n)] for n in own
                      if _join(path, n) in self.integrity.originals}
            if state.type is not type(module) or theirs.keys() != own.keys():
                continue
            if any(own[n].shape != theirs[n].shape for n in own):
                continue
            same = sum(same_values(own[n], theirs[n].to(own[n].dtype)) for n in own)
            if same > equal:
                best, equal = path, same
        if best is None:
            return
        self._register_parameters(module, best)
        for sub in module.modules():
            self._foreign_ids.add(id(sub))
            self._kept.append(sub)
        different = len(own) - equal
        name = best or "the model"
        self.copies[name] = "" if not different else f"{different} of {len(own)} tensors differ"
        if different:
            place, _ = self.frames.caller()
            what = f"a copy of {name} was run in which {different} of {len(own)} tensors differ"
            self.changes.setdefault(Change("weights", best, what, "during"), place)

    # -- calls ----------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See one torch call."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in {"__get__", "__set__", "__delete__"}:
            name = getattr(getattr(func, "__self__", None), "__name__", "")
            if name in _SILENT_GETTERS:
                return func(*args, **kwargs)
            if name == "grad":
                return self._gradient_read(func, args, kwargs)
        if self._busy or name in _SILENT:
            return func(*args, **kwargs)
        tensors = list(_tensors((args, kwargs)))
        inherited = union(self.lineages.get(t, EMPTY) for t in tensors)
        self._busy = True
        try:
            self._before(name, args, kwargs, tensors)
        finally:
            self._busy = False
        out = func(*args, **kwargs)
        self._busy = True
        try:
            with torch.no_grad():
                self._after(name, args, kwargs, tensors, inherited, out)
        finally:
            self._busy = False
        return out

    def _gradient_read(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        if isinstance(out, Tensor):
            self.lineages[out] = Lineage(scalars=frozenset(range(len(self.scalars))))
        return out

    def _before(self, name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        if name in _GRADIENTS:
            self._differentiated(args, kwargs)
            return
        with torch.no_grad():
            for tensor in tensors:
                lineage = self.lineages.get(tensor, EMPTY)
                if len(lineage.params) == 1 and not lineage.anchors:
                    (path,) = lineage.params
                    self._parameter_used(name, path, tensor, tensors)

    def _parameter_used(self, name: str, path: str, tensor: Tensor, tensors: list[Tensor]) -> None:
        place, own = self.frames.caller()
        if own and isinstance(tensor, nn.Parameter):
            self.uses[(path, place)] = self.uses.get((path, place), 0) + 1
            original = self.integrity.originals.get(path)
            if original is not None and not same_values(tensor, original):
                for change in self.integrity._tensor_changes(path, tensor, "during"):  # noqa: SLF001
                    self.changes.setdefault(change, place)
        x = tensors[0]
        if name == "layer_norm" and path in self._norms and x is not tensor:
            tower, index = self._norms[path]
            self._entered_block(tower, index, x, place)
        elif name in {"conv2d", "embedding"} and path in self._entrances and tensors[0] is not None:
            data = next(t for t in tensors if t is not tensor)
            self._entered_tower(self._entrances[path], data, place)

    def _after(
        self,
        name: str,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
        inherited: Lineage,
        out: Any,
    ) -> None:
        if name in _GRADIENTS:
            lineage = Lineage(scalars=frozenset(range(len(self.scalars))))
            for t in _tensors((out,)):
                self.lineages[t] = lineage
            return
        outputs = [t for t in _tensors((out,)) if t.is_floating_point()]
        if not outputs and name in {"__setitem__", "copy_"}:
            outputs = [args[0]] if isinstance(args[0], Tensor) else []
        if name in _MIXING:
            inherited = self._foreign_mixed(tensors, inherited)
        for t in outputs:
            if isinstance(t, nn.Parameter) and t in self.lineages:
                continue
            self._set(name, t, inherited, args, kwargs, tensors)

    def _set(
        self, name: str, t: Tensor, inherited: Lineage, args: Any, kwargs: Any, tensors: list[Tensor]
    ) -> None:
        found = self._find(t) if (inherited.anchors or inherited.params) else []
        if found:
            lineage = self._anchored(found[0])
            self.attention_calls += name in _ATTENTION_CALLS
        else:
            lineage = self._attention_call(name, t, inherited, args, kwargs, tensors)
        if lineage is not EMPTY:
            self.lineages[t] = lineage
        if (name.endswith("_") or name == "__setitem__") and t._base is not None:  # noqa: SLF001
            base = t._base  # noqa: SLF001
            self.lineages[base] = union([self.lineages.get(base, EMPTY), inherited])

    def _find(self, t: Tensor) -> list[frozenset[Anchor]]:
        try:
            return self.index.find(t)
        except (RuntimeError, NotImplementedError):  # functorch wrappers cannot be read
            return []

    def _anchored(self, found: frozenset[Anchor]) -> Lineage:
        for anchor in found:
            run = self.runs[anchor.run]
            if anchor.run < 2 and (anchor.terminal or (anchor.site == "input" and anchor.block)):
                self.clean.add(run.tower)
        runs = {a.run for a in found}
        inherits = union([self.runs[r].inherits for r in runs])
        return inherits.inherited(found) if inherits is not EMPTY else Lineage(anchors=found)

    def _foreign_mixed(self, tensors: list[Tensor], inherited: Lineage) -> Lineage:
        """A feature mixed with values that come from nowhere is no longer the model's."""
        if not inherited.anchors or not all(a.terminal for a in inherited.anchors):
            return inherited
        width = next(
            (t.shape[-1] for t in tensors if self._is_feature(t)), None
        )
        strangers = [
            t
            for t in tensors
            if t.is_floating_point() and t.numel() > 1 and t.ndim and t.shape[-1] == width
            and self.lineages.get(t, EMPTY).empty
        ]
        if width is None or not strangers:
            return inherited
        place, _ = self.frames.caller()
        self.foreign.append(place)
        return union([inherited, Lineage(foreign=frozenset({len(self.foreign) - 1}))])

    def _is_feature(self, t: Tensor) -> bool:
        lineage = self.lineages.get(t, EMPTY)
        if t.ndim == 0 or not lineage.anchors or not all(a.terminal for a in lineage.anchors):
            return False
        return t.shape[-1] == self._feature_width()

    def _feature_width(self) -> int:
        projection = self.anatomy.image.module.proj
        return int(projection.shape[-1]) if isinstance(projection, Tensor) else -1

    # -- first layers, blocks, final norm ---------------------------------------------------------

    def _entered_tower(self, tower: Tower, inputs: Tensor, place: Place) -> None:
        self.entries.append(Entry(tower.name, inputs.detach().clone(), place))
        given = self.given[tower.name]
        if inputs.shape[1:] != given.shape[1:]:
            return
        if len(inputs) == 1 and torch.equal(inputs.to(given.dtype), given):
            return
        lineage = self.lineages.get(inputs, EMPTY)
        self._open(tower, inputs.detach(), Lineage() if not lineage.deviates else lineage)

    def _open(self, tower: Tower, inputs: Tensor, inherits: Lineage) -> Run:
        tokens = inputs if tower.name == "text" else None
        run = Run(tower.name, len(self.runs), inherits, tokens)
        self.runs.append(run)
        dtype = next(self.anatomy.model.parameters()).dtype
        inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
        for site, part, state in embedding_states(tower, inputs):
            self.index.add(Anchor(tower.name, 0, site, part, run.number), state)
        return run

    def _entered_block(self, tower: Tower, index: int, x: Tensor, place: Place) -> None:
        """Values reach the first norm of a block, or the final norm."""
        fitting = [found for found in self._find(x) if self._fits(found, tower, index)]
        fits = bool(fitting)
        runs = sorted({a.run for a in fitting[0]}) if fits else []
        if fits and all(index in self.runs[r].blocks for r in runs):
            return
        if fits:
            tokens = self._tokens_of(runs)
            inherits = union([self.runs[r].inherits for r in runs])
            run = self.runs[runs[0]] if len(runs) == 1 else self._new(tower, inherits, tokens)
        else:
            run = self._altered(tower, index, x, place)
        x3 = self._tokens_first(tower, x, index)
        if x3 is None:
            return
        if index < len(tower.blocks):
            self._block(tower, index, x3, run)
        else:
            self._final(tower, x3, run)

    def _fits(self, found: frozenset[Anchor], tower: Tower, index: int) -> bool:
        """Whether these are the tokens that the model itself gives to this norm."""
        sites = {(a.tower, a.block, a.site) for a in found}
        expected = {(tower.name, index, "input"), (tower.name, index - 1, "output")}
        parts = {"all", "pooled"} if index == len(tower.blocks) else {"all"}
        return sites <= expected and {a.part for a in found} <= parts

    def _altered(self, tower: Tower, index: int, x: Tensor, place: Place) -> Run:
        lineage = self.lineages.get(x, EMPTY)
        number = frozenset({len(self.alterations)})
        surrogate = (
            index == len(tower.blocks)
            and not lineage.params
            and not lineage.events
            and not lineage.alterations
        )
        final = index == len(tower.blocks)
        rows = x.detach().reshape(len(x) if x.ndim == 3 or final else 1, -1)
        self.alterations.append(
            AlterationSeen(tower.name, index, lineage, surrogate, fingerprint(rows), place)
        )
        mark = Lineage(surrogates=number) if surrogate else Lineage(alterations=number)
        tokens = self._tokens_of(sorted({a.run for a in lineage.anchors}))
        return self._new(tower, union([Lineage().inherited(frozenset()), lineage, mark]), tokens)

    def _new(self, tower: Tower, inherits: Lineage, tokens: Tensor | None) -> Run:
        run = Run(tower.name, len(self.runs), inherits, tokens)
        self.runs.append(run)
        return run

    def _tokens_of(self, runs: list[int]) -> Tensor | None:
        known = [t for r in runs if (t := self.runs[r].tokens) is not None]
        return torch.cat(known) if known else None

    def _tokens_first(self, tower: Tower, x: Tensor, index: int) -> Tensor | None:
        dtype = next(self.anatomy.model.parameters()).dtype
        x = x.detach().to(dtype)
        if index == len(tower.blocks) and x.ndim == 2:
            return x
        if x.ndim == 2:
            return x.unsqueeze(0)
        if x.ndim != 3:
            return None
        expected = tower.grid[0] * tower.grid[1] + 1 if tower.name == "image" else -1
        if tower.name == "text":
            expected = self.given["text"].shape[1]
        if x.shape[1] != expected and x.shape[0] == expected:
            return x.transpose(0, 1)
        return x

    def _pooled(self, tower: Tower, run: Run, rows: int, length: int) -> Tensor:
        device = self.given["text"].device
        if tower.name == "image":
            return torch.zeros(rows, dtype=torch.long, device=device)
        tokens = run.tokens
        if tokens is None or len(tokens) != rows:
            tokens = self.given["text"].expand(rows, -1)
        return tower.pooled_index(tokens).clamp(max=length - 1)

    def _block(self, tower: Tower, index: int, x: Tensor, run: Run) -> None:
        pooled = self._pooled(tower, run, len(x), x.shape[1])
        block = tower.blocks[index]
        for site, part, state in block_states(block, x, tower.mask(x.shape[1]), pooled):
            self.index.add(Anchor(tower.name, index, site, part, run.number), state)
            if site == "mean attention" and part == "pooled" and state.shape[-1] == x.shape[1]:
                run.attention[index] = Expected(state, pooled)
        run.blocks.add(index)

    def _final(self, tower: Tower, x: Tensor, run: Run) -> None:
        pooled = None if x.ndim == 2 else self._pooled(tower, run, len(x), x.shape[1])
        for site, part, state in final_states(tower, x, pooled):
            self.index.add(Anchor(tower.name, len(tower.blocks), site, part, run.number), state)
        run.blocks.add(len(tower.blocks))

    # -- attention --------------------------------------------------------------------------------

    def _attention_call(
        self, name: str, t: Tensor, inherited: Lineage, args: Any, kwargs: Any, tensors: list[Tensor]
    ) -> Lineage:
        """Note a call of attention whose result is not the model's."""
        if name not in _ATTENTION_CALLS or t.ndim < 2:
            return inherited
        where = self._block_of(inherited)
        if where is None:
            return inherited
        self.attention_calls += 1
        tower, index = where
        run = self._run_of(inherited, tower, index)
        expected = run.attention.get(index) if run is not None else None
        seen = _ATTENTION_CALLS[name](t, args, kwargs, tensors, expected)
        if seen is None:
            return inherited
        heads, executed = seen
        place, own = self.frames.caller()
        model = None if expected is None else expected.rows
        rows = executed if executed is not None else t.reshape(len(t), -1)
        self.attention.append(
            AttentionSeen(
                tower.name, index, name, heads, executed, model, fingerprint(rows), not own, place
            )
        )
        event = Lineage(events=frozenset({len(self.attention) - 1}))
        return union([inherited, event])

    def _block_of(self, lineage: Lineage) -> tuple[Tower, int] | None:
        places = [
            (a.block, a.tower)
            for a in lineage.anchors
            if a.site in {"query", "key", "qkv", "normalized input", "input", "attention logits"}
        ]
        for tower in (self.anatomy.image, self.anatomy.text):
            for block in tower.blocks:
                if any(p.startswith(f"{block.path}.attn.in_proj") for p in lineage.params):
                    places.append((block.index, tower.name))
        if not places:
            return None
        index, name = max(places)
        tower = self.anatomy.tower(name)
        return (tower, index) if index < len(tower.blocks) else None

    def _run_of(self, lineage: Lineage, tower: Tower, index: int) -> Run | None:
        numbers = [a.run for a in lineage.anchors if a.tower == tower.name]
        known = [self.runs[n] for n in numbers if index in self.runs[n].blocks]
        return known[-1] if known else None

    # -- gradients --------------------------------------------------------------------------------

    def _differentiated(self, args: Any, kwargs: Any) -> None:
        targets = kwargs.get("outputs", kwargs.get("tensors", args[0] if args else ()))
        place, _ = self.frames.caller()
        for target in _tensors((targets,)):
            lineage = self.lineages.get(target, EMPTY)
            self.scalars.append(ScalarSeen(target.detach().clone(), lineage, place))


def _heads_and_row(a: Tensor, expected: Expected | None) -> tuple[int, Tensor | None] | None:
    """Heads of attention probabilities in any layout, and the pooled token's row, mean over heads.

    Returns None where the shape says that it is no attention over these tokens.
    """
    if expected is None:
        return (a.shape[-3] if a.ndim >= 4 else 0, None) if a.shape[-1] > 1 else None
    rows, length = expected.rows.shape
    width = a.shape[-1]
    if width not in {length, length - 1}:
        return None
    square = a.ndim >= 3 and a.shape[-2] == width
    if a.ndim >= 4:
        rows = a.shape[:-3].numel()
    elif not square and a.ndim == 3 and a.shape[0] != rows and a.shape[0] % rows:
        rows = a.shape[0]
    per_row = a.numel() // rows
    heads = per_row // (width * width if square else width)
    if heads < 1 or heads * rows * (width * width if square else width) != a.numel():
        return 0, None
    if not square:
        return heads, a.reshape(rows, heads, width).mean(1)
    pooled = (expected.pooled - (length - width)).clamp(min=0)
    pooled = pooled if len(pooled) == rows else pooled[:1].expand(rows)
    each = torch.arange(rows, device=a.device)
    return heads, a.reshape(rows, heads, width, width)[each, :, pooled].mean(1)


def _softmax_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> tuple[int, Tensor | None] | None:
    del args, kwargs, tensors
    return _heads_and_row(t, expected)


def _fused_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> tuple[int, Tensor | None] | None:
    del t, args
    if len(tensors) < 3:
        return None
    q, k = tensors[0], tensors[1]
    scale = kwargs.get("scale") or q.shape[-1] ** -0.5
    logits = q.float() @ k.float().transpose(-2, -1) * scale
    mask = kwargs.get("attn_mask")
    if isinstance(mask, Tensor):
        logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
    heads = q.shape[-3] if q.ndim >= 4 else 1
    seen = _heads_and_row(logits.softmax(-1), expected)
    return (heads, seen[1] if seen else None)


def _module_call(
    t: Tensor, args: Any, kwargs: Any, tensors: list[Tensor], expected: Expected | None
) -> tuple[int, Tensor | None] | None:
    """``multi_head_attention_forward``: its arguments tell heads and projections."""
    del t, tensors
    heads = int(kwargs.get("num_heads", args[4] if len(args) > 4 else 0))
    query, key = args[0], args[1]
    weight = kwargs.get("in_proj_weight", args[5] if len(args) > 5 else None)
    bias = kwargs.get("in_proj_bias", args[6] if len(args) > 6 else None)
    if not isinstance(weight, Tensor) or query.ndim != 3 or heads < 1:
        return heads, None
    q = torch.nn.functional.linear(query, weight, bias).chunk(3, -1)[0].transpose(0, 1)
    k = torch.nn.functional.linear(key, weight, bias).chunk(3, -1)[1].transpose(0, 1)
    q, k = (z.unflatten(-1, (heads, -1)).transpose(1, 2) for z in (q, k))
    logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    mask = kwargs.get("attn_mask")
    if isinstance(mask, Tensor):
        mask = mask.float().masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else mask
        logits = logits + (mask.unflatten(0, (-1, heads)) if mask.ndim == 3 else mask)
    seen = _heads_and_row(logits.softmax(-1), expected)
    return (heads, seen[1] if seen else None)


_ATTENTION_CALLS = {
    "softmax": _softmax_call,
    "scaled_dot_product_attention": _fused_call,
    "multi_head_attention_forward": _module_call,
}


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def distinct_rows(prints: list[Prints], tolerance: float = 1e-6) -> int:
    """How many different rows there are, by rounded fingerprints."""
    if not prints:
        return 0
    table = np.concatenate(prints)
    scale = np.abs(table).max(0) + 1e-30
    return len(np.unique(np.round(table / scale / tolerance), axis=0))
