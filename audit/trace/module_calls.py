"""Modules that run: the model's own are checked, copies of them are recognized."""

from __future__ import annotations

from typing import Any

from torch import nn

from audit.models.unwrapped_values import beneath
from audit.models.value_flow import tensors_among
from audit.trace.integrity import Change
from audit.trace.lineage import Lineage
from audit.trace.lineages import Lineages
from audit.trace.model_changes import ModelChanges
from audit.trace.model_copies import Adopted, adopt, joined


class ModuleCalls:
    """Sees every module just before it runs.

    Args:
        model: the model that the explainer receives.
        pristine: a deep copy that nobody else touches.
        watch: checks the model's modules.
        lineages: of every tensor seen; parameters are entered here.
        score_parameters: names of those that are in no tower.

    Attributes:
        copied: by the identity of a module of a copy, the path of the model's that it stands for.
        roots: the model, and the copies of it or of its parts that were run.
    """

    def __init__(
        self,
        model: nn.Module,
        pristine: nn.Module,
        watch: ModelChanges,
        lineages: Lineages[Any],
        score_parameters: tuple[str, ...],
    ) -> None:
        self._score_parameters = score_parameters
        self.watch = watch
        self.lineages = lineages
        self.copies: dict[str, str] = {}
        states = watch.integrity.modules.items()
        self._paths = {id(state.module): path for path, state in states}
        self.copied: dict[int, str] = {}
        self._remade: set[int] = set()
        self._doubted: dict[int, tuple[Adopted, str]] = {}
        self.roots = [model]
        self._kept: list[nn.Module] = [pristine]
        self._known = {id(m) for m in pristine.modules()}
        self._register(model, "")

    def path_of(self, module: nn.Module) -> str | None:
        """Dotted name of the module of the model that one is, or stands for in a copy."""
        known = self._paths.get(id(module))
        return self.copied.get(id(module)) if known is None else known

    def same_as(self, module: nn.Module) -> str | None:
        """The same, where the module has the tensors of the model's and is of its class."""
        path = self.path_of(module)
        if path is None or id(module) in self._remade:
            return None
        return path if type(module) is self.watch.integrity.modules[path].type else None

    def before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run with these arguments."""
        path = self._paths.get(id(module))
        if path is not None:
            self._register_lent(path, module)
            self.watch.module(path, args)
        elif id(module) not in self._known:
            self._adopt(module)
        if (original := self.copied.get(id(module))) is not None:
            self.watch.copy_runs(original, module, args)

    def after(self, module: nn.Module, out: Any) -> None:
        """A module has run and gave this."""
        path = self._paths.get(id(module))
        if path is not None:
            self.watch.has_run(path, out)
        elif id(module) in self._doubted:
            self._judge(module, out)

    def _register(self, module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if name not in self._score_parameters:
                self.lineages[parameter] = Lineage(params=frozenset({joined(prefix, name)}))

    def _register_lent(self, path: str, module: nn.Module) -> None:
        """Tensors that stand in for parameters, as functional calls lend them, count as such."""
        for name, tensor in module._parameters.items():  # noqa: SLF001
            if tensor is None or name in self._score_parameters:
                continue
            if tensor not in self.lineages:
                self.lineages[tensor] = Lineage(params=frozenset({joined(path, name)}))

    def _adopt(self, module: nn.Module) -> None:
        self._kept.append(module)
        self._known.add(id(module))
        found = adopt(module, self.watch.integrity)
        if found is None:
            return
        self._register(module, found.path)
        self._kept += list(module.modules())
        for name, sub in module.named_modules():
            self._known.add(id(sub))
            path = joined(found.path, name) if name else found.path
            if path in self.watch.integrity.modules:
                self.copied[id(sub)] = path
        self.copies[found.name] = found.how
        self.roots.append(module)
        if found.remade:
            others = {name.rpartition(".")[0] for name in found.different}
            remade = {n: sub for n, sub in module.named_modules() if n in others}
            self._remade |= {id(sub) for sub in remade.values()}
            self._doubted |= {id(sub): (found, name) for name, sub in remade.items()}
        elif found.different:
            what = f"run as a copy in which {found.how}"
            self.watch.note([Change("weights", found.path, what, "during")])

    def _judge(self, module: nn.Module, out: Any) -> None:
        """A module with other tensors than the model's has run, in a copy of another make.

        Where a norm is fused with what comes before it, tensors differ and values do not.
        """
        copied, name = self._doubted[id(module)]
        result = next(tensors_among(out), None)
        if result is None or not self.lineages.get(beneath(result)).deviates:
            return
        del self._doubted[id(module)]
        what = f"run in a copy with other tensors ({copied.example_of(name)}), and gives others"
        self.watch.note([Change("weights", joined(copied.path, name), what, "during")])
