"""Adapter for the methods of pytorch-grad-cam: ``pytorch-grad-cam:GradCAM``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.patches import patch_means
from audit.explainers.spatial_activation import chosen_activation, outputs_kept
from audit.models.anatomy import UnknownAnatomyError, anatomy_of
from audit.models.module_interface import ScoreInterface, interface_of
from audit.nearest_name import hint


class _Score(nn.Module):
    """The score of each picture with its target, as a network of one output."""

    def __init__(
        self, interface: ScoreInterface, model: nn.Module, wanted: Float[Tensor, "pairs feature"]
    ) -> None:
        super().__init__()
        self.model = model
        self.interface = interface
        self.wanted = wanted

    def forward(self, images: Float[Tensor, "pairs 3 H W"]) -> Float[Tensor, "pairs 1"]:
        """Scores of the pairs."""
        return (self.interface.features(self.model, images) * self.wanted).sum(-1, keepdim=True)


@dataclass(frozen=True)
class _Target:
    """The layer that the library looks at, and how its output becomes a feature map."""

    layer: nn.Module
    on_grid: Callable[[Tensor], Tensor]


def grad_cam_explainer(name: str) -> Callable[..., Explanation]:
    """The explainer of a class of `pytorch_grad_cam` that reads activations and gradients.

    The target layer is the first LayerNorm of the last block where the model's blocks are known
    (the block's output gets no gradient at the patches), else the one that `grad_cam` finds; the
    reshape transform drops the class token. The library scales each map to [0, 1] and to the
    picture; it is averaged over each patch here.

    Raises:
        ExplainerImportError: where grad-cam is not installed.
        UnknownExplainerError: where it has no such method.
    """
    method = _method(name)

    def explain(
        model: nn.Module,
        images: Float[Tensor, "pairs 3 H W"],
        targets: Int[Tensor, "pairs ..."],
        *,
        eigen_smooth: bool = False,
        interface: ScoreInterface | None = None,
    ) -> Explanation:
        interface = interface or interface_of(model)
        score = _Score(interface, model, target_features(interface, model, targets))
        pixels = images.detach().clone().requires_grad_()
        outputs = [_only_output] * len(images)
        with _gradients_kept(model), torch.enable_grad():
            target = _target_of(score, pixels)
            cam = method(
                model=score, target_layers=[target.layer], reshape_transform=target.on_grid
            )
            try:
                maps = torch.as_tensor(
                    cam(input_tensor=pixels, targets=outputs, eigen_smooth=eigen_smooth)
                )
            finally:
                cam.activations_and_grads.release()
        maps = maps.to(images.device).float()
        return Explanation(patch_means(maps, interface.patch_grid(model)))

    explain.__doc__ = f"{name} of pytorch-grad-cam at the last block, or the last feature map."
    return explain


def _target_of(score: _Score, images: Float[Tensor, "pairs 3 H W"]) -> _Target:
    try:
        tower = anatomy_of(score.model).image
    except UnknownAnatomyError:
        grid = score.interface.patch_grid(score.model)
        with outputs_kept(score.model, plain=True) as outputs:
            total = score(images).sum()
        seen = chosen_activation(outputs, images, grid, total)
        return _Target(score.model.get_submodule(seen.name), seen.on_grid)
    rows, columns = tower.grid

    def on_grid(x: Float[Tensor, "pairs tokens width"]) -> Float[Tensor, "pairs width h w"]:
        return x[:, 1:].mT.reshape(len(x), -1, rows, columns)

    return _Target(tower.blocks[-1].attention_norm, on_grid)


def _only_output(output: Float[Tensor, " 1"]) -> Float[Tensor, ""]:
    return output[0]


def _method(name: str) -> Any:
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ExplainerImportError(
            f"explainer 'pytorch-grad-cam:{name}': expected pytorch-grad-cam to be installed, got "
            f"{error}; `pip install grad-cam`"
        ) from error
    method = getattr(pytorch_grad_cam, name, None)
    names = {n for n, v in vars(pytorch_grad_cam).items() if inspect.isclass(v)}
    if name not in names:
        raise UnknownExplainerError(
            f"unknown method 'pytorch-grad-cam:{name}'{hint(name, names)}; expected a class of "
            "pytorch_grad_cam"
        )
    return method


@contextmanager
def _gradients_kept(model: nn.Module) -> Iterator[None]:
    """Put back the parameters' ``.grad``, which the library's `backward` writes."""
    kept = [(p, p.grad) for p in model.parameters()]
    try:
        for parameter, _ in kept:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient
