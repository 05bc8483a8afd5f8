"""Adapter for the methods of pytorch-grad-cam: ``pytorch-grad-cam:GradCAM``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.known_names import unknown_method
from audit.explainers.patches import patch_means
from audit.explainers.spatial_activation import Activation, chosen_activation, outputs_kept
from audit.models.anatomy import UnknownAnatomyError, anatomy_of
from audit.models.module_interface import ScoreInterface, interface_of


class _Features(nn.Module):
    """The features that scores are made of, as a network whose outputs targets are taken from."""

    def __init__(self, interface: ScoreInterface, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.interface = interface

    def forward(self, images: Float[Tensor, "rows 3 H W"]) -> Float[Tensor, "rows feature"]:
        """One feature a picture."""
        return self.interface.features(self.model, images)


@dataclass(frozen=True)
class _Target:
    """The layers that the library looks at, and how their outputs become feature maps."""

    layers: list[nn.Module]
    on_grid: Callable[[Tensor], Tensor]


def grad_cam_explainer(name: str) -> Callable[..., Explanation]:
    """The explainer of a class of `pytorch_grad_cam` that reads activations and gradients.

    The target layers are those named by ``layers``, with commas between them: most methods give the
    mean of their maps, `RefineCAM` the product. Without, the target layer is the first LayerNorm of
    the last block where the model's blocks are known (the block's output gets no gradient at the
    patches), else the one that `grad_cam` finds. The reshape transform drops the tokens before the
    patches. The library scales each map to [0, 1] and to the picture; it is averaged over each
    patch here.

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
        layers: str | None = None,
        eigen_smooth: bool = False,
        interface: ScoreInterface | None = None,
    ) -> Explanation:
        interface = interface or interface_of(model)
        features = _Features(interface, model)
        wanted = target_features(interface, model, targets)
        pixels = images.detach().clone().requires_grad_()
        outputs = [partial(_score, of) for of in wanted]
        with _gradients_kept(model), torch.enable_grad():
            target = _target_of(features, pixels, wanted, layers)
            cam = method(
                model=features, target_layers=target.layers, reshape_transform=target.on_grid
            )
            try:
                maps = torch.as_tensor(
                    cam(input_tensor=pixels, targets=outputs, eigen_smooth=eigen_smooth)
                )
            finally:
                for one in (cam, *getattr(cam, "base_cam_per_layer", ())):
                    if hasattr(one, "activations_and_grads"):
                        one.activations_and_grads.release()
        maps = maps.to(images.device).float()
        return Explanation(patch_means(maps, interface.patch_grid(model)))

    explain.__doc__ = (
        f"{name} of pytorch-grad-cam at the last block, the last feature map, or more."
    )
    return explain


def _score(
    wanted: Float[Tensor, " feature"], output: Float[Tensor, " feature"]
) -> Float[Tensor, ""]:
    return (output * wanted).sum()


def _target_of(
    features: _Features,
    images: Float[Tensor, "pairs 3 H W"],
    wanted: Float[Tensor, "pairs feature"],
    layers: str | None,
) -> _Target:
    """The layers asked for, else the one that suits the model.

    Raises:
        ValueError: no such layer, or one that gives nothing with places.
    """
    if layers is None:
        try:
            tower = anatomy_of(features.model).image
        except UnknownAnatomyError:
            pass
        else:
            return _Target([tower.blocks[-1].attention_norm], partial(_patches, tower.grid))
    names = [None] if layers is None else [name.strip() for name in layers.split(",")]
    found = [_activation(features, images, wanted, name) for name in names]
    by_shape = {tuple(seen.value.shape[1:]): seen for seen in found}
    model = features.model
    return _Target(
        [model.get_submodule(seen.name) for seen in found],
        lambda x: by_shape[tuple(x.shape[1:])].on_grid(x),
    )


def _patches(
    grid: tuple[int, int], x: Float[Tensor, "pairs tokens width"]
) -> Float[Tensor, "pairs width h w"]:
    rows, columns = grid
    return x[:, -rows * columns :].mT.reshape(len(x), -1, rows, columns)


def _activation(
    features: _Features,
    images: Float[Tensor, "pairs 3 H W"],
    wanted: Float[Tensor, "pairs feature"],
    layer: str | None,
) -> Activation:
    grid = features.interface.patch_grid(features.model)
    with outputs_kept(features.model, layer, plain=True) as outputs:
        total = (features(images) * wanted).sum()
    return chosen_activation(outputs, images, grid, total)


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
        told = unknown_method("pytorch-grad-cam", name, names, "pytorch_grad_cam")
        raise UnknownExplainerError(told)
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
