"""Adapter for attribution methods of captum: ``captum:IntegratedGradients``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_origin

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.captum_methods import Method, captum_method
from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.last_block import widen
from audit.explainers.patches import Grid, patch_means
from audit.explainers.probed_features import batch_of
from audit.explainers.spatial_activation import Activation, chosen_activation, outputs_kept
from audit.models.module_interface import ScoreInterface, interface_of

_NOT_OPTIONS = {"show_progress", "return_convergence_delta", "attribute_to_layer_input", "verbose"}


class PairScores(nn.Module):
    """The score of each picture with its target, as a network that calls the model's modules."""

    def __init__(self, interface: ScoreInterface, model: nn.Module) -> None:
        super().__init__()
        self.interface = interface
        self.model = model

    def forward(
        self, images: Float[Tensor, "rows 3 H W"], wanted: Float[Tensor, "rows feature"]
    ) -> Float[Tensor, " rows"]:
        """Scores of the pairs, given the feature of each pair's target."""
        return (self.interface.features(self.model, images) * wanted).sum(-1)


def captum_explainer(name: str) -> Callable[..., Explanation]:
    """The explainer of a class of `captum.attr` that takes a forward function or a model.

    What it is given gives the score of the pair. Attributions by pixels are summed over color
    channels and averaged over each patch; those of a layer are summed over its channels, in rows
    and columns. Options are the method's own, such as ``n_steps``. A method of a layer takes the
    one named by ``layer``, else that of `grad_cam`; a method around another one, `NoiseTunnel`,
    that which is named by ``method``.
    Baselines, windows and feature masks that a method needs are the mean color (0) and the patches.
    A method that runs many altered pictures is told to run as many at once as `occlusion` does,
    where it would else run them one by one (slow) or all at once (gigabytes): values are the same.

    Raises:
        ExplainerImportError: where captum is not installed.
        UnknownExplainerError: where captum has no such method, or it needs more than this.
    """
    method = captum_method(name)
    attribute = inspect.signature(method.cls.attribute).parameters

    def explain(
        model: nn.Module,
        images: Float[Tensor, "pairs 3 H W"],
        targets: Int[Tensor, "pairs ..."],
        *,
        interface: ScoreInterface | None = None,
        layer: str | None = None,
        **options: Any,
    ) -> Explanation:
        called = interface or interface_of(model)
        grid, wanted = called.patch_grid(model), target_features(called, model, targets)
        scores = PairScores(called, model)
        seen = _seen(method, scores, images, wanted, layer, grid) if method.takes_layer else None
        inner = method.inner(options.pop("method", None))
        takes = attribute if inner is None else {**attribute, **inner.attribute_parameters}
        needed = {k: v for k, v in _needs(grid, images).items() if k in takes}
        built = method.build(scores, None if seen is None else _layer(model, seen), inner)
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting .*hooks", UserWarning)
            pixels = images.detach().clone().requires_grad_()
            given = built.attribute(pixels, additional_forward_args=(wanted,), **(needed | options))
        if seen is not None and given.shape != pixels.shape:
            return Explanation(_of_layer(seen, given))
        return Explanation(patch_means(widen(given.detach()).sum(dim=1), grid))

    explain.__doc__ = f"{name} of captum on the score, channels summed, patches averaged."
    explain.__signature__ = _signature(method, attribute)  # type: ignore[attr-defined]
    explain.stochastic = bool({"n_samples", "nt_samples"} & set(attribute))  # type: ignore[attr-defined]
    return explain


def _seen(
    method: Method,
    scores: PairScores,
    images: Float[Tensor, "pairs 3 H W"],
    wanted: Float[Tensor, "pairs feature"],
    layer: str | None,
    grid: Grid,
) -> Activation:
    """The activation whose layer the method is given.

    Raises:
        ValueError: no such layer, none with places, or tokens where channels must come first.
    """
    with torch.enable_grad():
        pixels = images.detach().clone().requires_grad_()
        with outputs_kept(scores.model, layer, plain=True) as outputs:
            total = scores(pixels, wanted).sum()
        seen = chosen_activation(outputs, pixels, grid, total)
    if method.weighs_channels and seen.channels_last:
        raise ValueError(
            f"expected a layer that gives a feature map (pairs, channels, h, w), whose second axis "
            f"{method.name} weighs, found '{seen.name}', which gives {tuple(seen.value.shape)}; "
            "name another layer, or choose grad-cam or pytorch-grad-cam:GradCAM"
        )
    return seen


def _layer(model: nn.Module, seen: Activation) -> nn.Module:
    return model.get_submodule(seen.name)


def _of_layer(seen: Activation, given: Tensor) -> Float[Tensor, "pairs h w"]:
    """Attributions of a layer in rows and columns, channels added."""
    found = widen(given.detach())
    if found.shape == seen.value.shape:
        found = seen.on_grid(found)
    return found.sum(1)


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
        "nt_samples_batch_size": max(1, batch // len(images)),
        "feature_mask": functional.interpolate(patches.float(), size=images.shape[-2:]).long(),
    }


def _signature(method: Method, attribute: Any) -> inspect.Signature:
    """The method's parameters that can be given as text, as keyword-only ones, and `interface`."""
    own = [
        p.replace(kind=p.KEYWORD_ONLY)
        for p in attribute.values()
        if (p.annotation in (bool, int, float, str) or get_origin(p.annotation) is Literal)
        and p.name not in _NOT_OPTIONS
        and p.default is not p.empty
    ]
    return inspect.Signature(
        [
            inspect.Parameter("interface", inspect.Parameter.KEYWORD_ONLY, default=None),
            *own,
            *method.further_options,
        ]
    )
