"""An activation that keeps places, and the gradient of each pair's score by it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.spatial_activation import Activation, chosen_activation, outputs_kept
from audit.explainers.turns import gradients_in_turns, one_pair_each
from audit.models.module_interface import ScoreInterface, interface_of


@dataclass(frozen=True)
class ActivationGradient:
    """An activation as feature maps, and what moves the scores in it.

    Attributes:
        values: the activation of each distinct picture, at least single precision.
        slopes: gradient of each pair's score by it.
        picture: for each pair the place of its picture.
        scores: the model's.
    """

    values: Float[Tensor, "pictures channels h w"]
    slopes: Float[Tensor, "pairs channels h w"]
    picture: Int[Tensor, " pairs"]
    scores: Float[Tensor, " pairs"]

    def weighed(self, weights: Float[Tensor, "pairs channels 1 1"]) -> Float[Tensor, "pairs h w"]:
        """The activation's channels of each pair, weighed, added and cut off at 0."""
        return (weights * self.values[self.picture]).sum(1).relu()


def activation_gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    layer: str | None,
    interface: ScoreInterface | None,
) -> ActivationGradient:
    """Run each distinct picture forward once; its targets take turns in the backward pass.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        layer: dotted name of the module to take the activation of; None for the last one whose
            places move the score, see `audit.explainers.spatial_activation.chosen_activation`.
        interface: how the model is called.

    Raises:
        ValueError: no such layer, or none that gives an activation with places.
    """
    run = activation_pass(model, images, targets, layer, interface or interface_of(model))
    values = run.values
    with torch.enable_grad():
        slopes = values.new_empty(len(images), *values.shape[1:])
        for mine, (slope,) in gradients_in_turns(run.scores, [run.seen.value], run.picture):
            slopes[mine] = widen(run.seen.on_grid(slope))
    return ActivationGradient(values, slopes, run.picture, run.scores.detach())


@dataclass(frozen=True)
class ActivationPass:
    """A forward pass of each distinct picture, and the activation that was chosen of it.

    Attributes:
        images: the distinct pictures.
        seen: the activation, in the graph of the scores.
        picture: for each pair the place of its picture.
        wanted: target feature of each pair.
        scores: the model's.
    """

    images: Float[Tensor, "pictures 3 H W"]
    seen: Activation
    picture: Int[Tensor, " pairs"]
    wanted: Float[Tensor, "pairs feature"]
    scores: Float[Tensor, " pairs"]

    @property
    def values(self) -> Float[Tensor, "pictures channels h w"]:
        """The activation in rows and columns, at least single precision, without a graph."""
        return widen(self.seen.on_grid(self.seen.value.detach()))


def activation_pass(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    layer: str | None,
    interface: ScoreInterface,
) -> ActivationPass:
    """Run each distinct picture once; which activation moves the score is told by its gradient.

    Args and errors: as of `activation_gradient`.
    """
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    with torch.enable_grad():
        pixels = images.detach()[pictures.first].clone().requires_grad_()
        with outputs_kept(model, layer) as outputs:
            features = interface.features(model, pixels)
        scores = (features[pictures.of] * wanted).sum(-1)
        one_each = scores[one_pair_each(pictures.of)].sum()
        seen = chosen_activation(outputs, pixels, interface.patch_grid(model), one_each)
    return ActivationPass(pixels.detach(), seen, pictures.of, wanted, scores)
