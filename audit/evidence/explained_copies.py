"""Explaining copies of the model: nothing that an explainer does to one reaches the audit's own."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context, on_grid
from audit.explainers.contract import Explainer, run_explainer
from audit.interventions.draws import generator_for
from audit.metrics.similarity import relative_l2, spearman
from audit.models.pristine import pristine_copy, pristine_copy_in

ROUNDINGS = 4.0
HALF = (torch.float16, torch.bfloat16)


def own_copy(module: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A deep copy as an explainer receives the model: eval mode, gradients, nothing shared.

    Args:
        module: the model, or an edited copy that shares tensors with it.
        dtype: of the copy's parameters, by default the model's.
    """
    return pristine_copy(module).requires_grad_().to(dtype)


def rounded_copy(module: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are equal to the model's up to a few roundings of their dtype.

    Every parameter is multiplied by 1 + 4 eps z with z Gaussian. What an explanation changes by on
    such a copy, numerics explain: a change that is not far larger is no finding.
    """
    copy = own_copy(module)
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            z = torch.randn(parameter.shape, generator=generator_for("rounding", name, seed))
            size = ROUNDINGS * torch.finfo(parameter.dtype).eps
            parameter.mul_(1 + size * z.to(parameter))
    return copy


def full_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in where half precision would drown the effect: float32 for it."""
    return torch.float32 if dtype in HALF else dtype


def in_full_precision(context: Context) -> Context:
    """The same context, or one of a copy of the model in float32 where it is in half precision.

    In half precision the kernels alone make scores and features differ by what a fault would, so a
    trace there accuses honest explainers and misses faulty ones.
    """
    dtype = full_dtype(context.model.dtype)
    if dtype is context.model.dtype:
        return context
    copy = pristine_copy_in(context.pristine, dtype)
    model = dataclasses.replace(context.model, module=copy, dtype=dtype)
    return dataclasses.replace(context, model=model, pristine=pristine_copy(copy))


def batch(
    context: Context, pairs: Int[Tensor, " n"], dtype: torch.dtype
) -> tuple[Float[Tensor, "n 3 H W"], Int[Tensor, "n ..."]]:
    """Images and targets of some pairs, on the device."""
    return context.pairs.batch(pairs, context.model.device, dtype)


def maps_of(
    context: Context,
    explainer: Explainer,
    module: nn.Module,
    pairs: Int[Tensor, " n"],
    size: int | None = None,
) -> Float[Tensor, "n rows columns"]:
    """Maps of some pairs on a copy of the model, on the patch grid, float64 on the CPU.

    Global random numbers start from the audit's seed, so that an explainer that draws from them
    draws the same on every copy. Library functions that it replaced are put back.

    Args:
        context: of the audit.
        explainer: the explainer.
        module: a copy that nobody else needs; its dtype is that of the pictures.
        pairs: indices of the pairs.
        size: pairs per batch.
    """
    dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
    parts = pairs.split(size or context.batch_size())
    draw = partial(_maps, context, explainer, module, dtype)

    def work(_: nn.Module) -> Tensor:
        return torch.cat(context.tasks.of_batches(parts, draw))

    with common_random_numbers(context.seed):
        return context.guarded(work)


def _maps(
    context: Context,
    explainer: Explainer,
    module: nn.Module,
    dtype: torch.dtype,
    pairs: Int[Tensor, " n"],
) -> Float[Tensor, "n rows columns"]:
    found = run_explainer(explainer, module, *batch(context, pairs, dtype)).maps
    return on_patches(found, context).cpu().double()


def on_patches(maps: Float[Tensor, "n h w"], context: Context) -> Float[Tensor, "n rows columns"]:
    """Maps of pictures on the patch grid; those of tokens, a single row, as they are."""
    return maps if maps.shape[1] == 1 else on_grid(maps, context.grid)


@contextmanager
def common_random_numbers(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python, and put them back afterwards."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002 - explainers may use it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(states[0])  # noqa: NPY002
            random.setstate(states[1])


def unedited_maps(
    context: Context, explainer: Explainer, pairs: Int[Tensor, " n"], dtype: torch.dtype
) -> Float[Tensor, "n rows columns"]:
    """`maps_of` some pairs on an equal copy of the model.

    Args:
        context: of the audit.
        explainer: the explainer.
        pairs: indices of the pairs.
        dtype: to work in.
    """

    def draw() -> Tensor:
        return maps_of(context, explainer, own_copy(context.pristine, dtype), pairs)

    return context.tasks.one_drawn(_task("unedited", explainer, pairs, dtype), draw)


def _task(what: str, explainer: Explainer, pairs: Tensor, dtype: torch.dtype) -> str:
    options = sorted(explainer.options.items())
    return f"{what} {len(pairs)} in {dtype} of {explainer.name} {options}"


def numerical_noise(
    context: Context,
    explainer: Explainer,
    pairs: Int[Tensor, " n"],
    maps: Float[Tensor, "n rows columns"],
    dtype: torch.dtype,
) -> Float[Tensor, " n"]:
    """Largest relative change of each map on an equal copy and on two equal up to roundings.

    Args:
        context: of the audit.
        explainer: the explainer.
        pairs: indices of the pairs.
        maps: of these pairs on an equal copy of the model (`unedited_maps`).
        dtype: to work in.
    """
    model = own_copy(context.pristine, dtype)
    copies = {
        "equal": partial(own_copy, model),
        **{f"rounded {i}": partial(rounded_copy, model, context.seed + i) for i in range(2)},
    }

    def change(copy: Callable[[], nn.Module]) -> Tensor:
        return relative_l2(maps, maps_of(context, explainer, copy(), pairs))

    changes = [
        context.tasks.one_drawn(_task(name, explainer, pairs, dtype), partial(change, copy))
        for name, copy in copies.items()
    ]
    return torch.stack(changes).amax(0)


def likeness(
    one: Float[Tensor, "n rows columns"], other: Float[Tensor, "n rows columns"]
) -> Float[Tensor, " n"]:
    """Absolute rank correlation; 1 for equal maps, 0 where only one is constant."""
    equal = (one == other).flatten(1).all(1)
    return torch.where(equal, 1.0, spearman(one, other).abs().nan_to_num(0))
