"""Adapter for the methods of pytorch-grad-cam: ``pytorch-grad-cam:GradCAM``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import text_features
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.models.anatomy import Anatomy, anatomy_of
from audit.nearest_name import hint


class _Score(nn.Module):
    """The cosine score of each picture with its text, as a network of one output."""

    def __init__(self, anatomy: Anatomy, text: Float[Tensor, "pairs feature"]) -> None:
        super().__init__()
        self.model = anatomy.model
        self.anatomy = anatomy
        self.text = text

    def forward(self, images: Float[Tensor, "pairs 3 H W"]) -> Float[Tensor, "pairs 1"]:
        """Scores of the pairs."""
        return (self.anatomy.image_features(images) * self.text).sum(-1, keepdim=True)


def grad_cam_explainer(name: str) -> Callable[..., Explanation]:
    """The explainer of a class of `pytorch_grad_cam` that reads activations and gradients.

    The target layer is the first LayerNorm of the last block (the block's output gets no gradient
    at the patches); the reshape transform drops the class token. The library scales each map to
    [0, 1] and to the picture; it is averaged over each patch here.

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
    ) -> Explanation:
        anatomy = anatomy_of(model)
        rows, columns = anatomy.image.grid
        layer = anatomy.image.blocks[-1].attention_norm

        def on_grid(x: Float[Tensor, "pairs tokens width"]) -> Float[Tensor, "pairs width h w"]:
            return x[:, 1:].mT.reshape(len(x), -1, rows, columns)

        score = _Score(anatomy, text_features(anatomy, targets))
        pixels = images.detach().clone().requires_grad_()
        outputs = [_only_output] * len(images)
        with _gradients_kept(model), torch.enable_grad():
            cam = method(model=score, target_layers=[layer], reshape_transform=on_grid)
            try:
                maps = torch.as_tensor(
                    cam(input_tensor=pixels, targets=outputs, eigen_smooth=eigen_smooth)
                )
            finally:
                cam.activations_and_grads.release()
        pooled = functional.avg_pool2d(maps.to(images.device).float(), anatomy.image.patch_size)
        return Explanation(pooled)

    explain.__doc__ = f"{name} of pytorch-grad-cam at the first LayerNorm of the last block."
    return explain


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
