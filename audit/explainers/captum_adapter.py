"""Adapter for attribution methods of captum: ``captum:IntegratedGradients``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, get_origin

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.last_block import widen
from audit.explainers.patches import Grid, patch_means
from audit.explainers.probed_features import batch_of
from audit.models.module_interface import ScoreInterface, interface_of
from audit.nearest_name import hint

_NOT_OPTIONS = {"show_progress", "return_convergence_delta"}


def captum_explainer(name: str) -> Callable[..., Explanation]:
    """The explainer of a class of `captum.attr` that takes a forward function.

    The forward function is the score of the pair. Attributions are summed over color
    channels and averaged over each patch. Options are the method's own, such as ``n_steps``.
    Baselines, windows and feature masks that a method needs are the mean color (0) and the patches.
    A method that runs many altered pictures is told to run as many at once as `occlusion` does,
    where it would else run them one by one (slow) or all at once (gigabytes): values are the same.

    Raises:
        ExplainerImportError: where captum is not installed.
        UnknownExplainerError: where captum has no such method, or it needs more than a function.
    """
    method = _method(name)
    attribute = inspect.signature(method.attribute).parameters

    def explain(
        model: nn.Module,
        images: Float[Tensor, "pairs 3 H W"],
        targets: Int[Tensor, "pairs ..."],
        *,
        interface: ScoreInterface | None = None,
        **options: Any,
    ) -> Explanation:
        called = interface or interface_of(model)
        grid, wanted = called.patch_grid(model), target_features(called, model, targets)

        def score(
            pixels: Float[Tensor, "rows 3 H W"], wanted: Float[Tensor, "rows feature"]
        ) -> Float[Tensor, " rows"]:
            return (called.features(model, pixels) * wanted).sum(-1)

        needed = {k: v for k, v in _needs(grid, images).items() if k in attribute}
        with torch.enable_grad():
            pixels = images.detach().clone().requires_grad_()
            given = method(score).attribute(
                pixels, additional_forward_args=(wanted,), **(needed | options)
            )
        relevance = widen(given.detach()).sum(dim=1)
        return Explanation(patch_means(relevance, grid))

    explain.__doc__ = f"{name} of captum on the score, channels summed, patches averaged."
    explain.__signature__ = _signature(attribute)  # type: ignore[attr-defined]
    explain.stochastic = "n_samples" in attribute  # type: ignore[attr-defined]
    return explain


def _method(name: str) -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise ExplainerImportError(
            f"explainer 'captum:{name}': expected captum to be installed, got {error}; "
            "`pip install captum`"
        ) from error
    method = getattr(attr, name, None)
    if not inspect.isclass(method) or not hasattr(method, "attribute"):
        raise UnknownExplainerError(
            f"unknown method 'captum:{name}'{hint(name, attr.__all__)}; expected a class of "
            "captum.attr"
        )
    first = next(iter(inspect.signature(method).parameters), "")
    if first != "forward_func":
        raise UnknownExplainerError(
            f"'captum:{name}' cannot be adapted: expected a method that takes a forward function, "
            f"got one that takes '{first}'; write an explainer file that calls it"
        )
    return method


def _needs(grid: Grid, images: Float[Tensor, "pairs 3 H W"]) -> dict[str, Any]:
    """What some methods need beside the score: baselines, windows, patches as features, batches."""
    batch = batch_of(images.device)
    (rows, columns), (channels, height, width) = grid, images.shape[1:]
    window = (channels, -(-height // rows), -(-width // columns))
    patches = torch.arange(rows * columns, device=images.device).reshape(1, 1, rows, columns)
    return {
        "baselines": torch.zeros_like(images),
        "sliding_window_shapes": window,
        "strides": window,
        "internal_batch_size": max(batch, len(images)),
        "perturbations_per_eval": max(1, batch // len(images)),
        "feature_mask": functional.interpolate(patches.float(), size=images.shape[-2:]).long(),
    }


def _signature(attribute: Any) -> inspect.Signature:
    """The method's parameters that can be given as text, as keyword-only ones, and `interface`."""
    return inspect.Signature(
        [
            inspect.Parameter("interface", inspect.Parameter.KEYWORD_ONLY, default=None),
            *(
                p.replace(kind=p.KEYWORD_ONLY)
                for p in attribute.values()
                if (p.annotation in (bool, int, float, str) or get_origin(p.annotation) is Literal)
                and p.name not in _NOT_OPTIONS
                and p.default is not p.empty
            ),
        ]
    )
