"""Explainers that run on a model of any library, honest ones and planted faults."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.any_model import AnyStage, logits_of, score
from tests.reference_explainers.member import Member, Table

PATCH = 16


def _gradient(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    pixels = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(score(model, pixels, targets).sum(), pixels)
    return slope.abs().amax(1)


def _activation_and_slope(
    model: nn.Module, layer: str, images: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    kept: dict[str, Tensor] = {}

    def keep(_module: nn.Module, _args: Any, out: Any) -> None:
        kept["out"] = out if isinstance(out, Tensor) else out[0]

    handle = model.get_submodule(layer).register_forward_hook(keep)
    try:
        value = score(model, images.clone().requires_grad_(), targets).sum()
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(value, kept["out"])
    return kept["out"].detach(), slope


def _cam(out: Tensor, slope: Tensor) -> Tensor:
    if out.ndim == 4:
        return (out * slope.mean((2, 3), keepdim=True)).sum(1).relu()
    tokens, slope = out[:, 1:], slope[:, 1:]
    relevance = (tokens * slope.mean(1, keepdim=True)).sum(-1).relu()
    side = int(relevance.shape[1] ** 0.5)
    return relevance.reshape(len(relevance), side, side)


def _channels(out: Tensor) -> Tensor:
    """Non-negative activations of the first picture, (channels, h, w)."""
    if out.ndim == 4:
        return out[0].relu() + 1e-3
    side = int((out.shape[1] - 1) ** 0.5)
    return out[0, 1:].T.reshape(-1, side, side).relu() + 1e-3


def _with_hook(model: nn.Module, layer: str, hook: Any) -> Any:
    return model.get_submodule(layer).register_forward_hook(hook)


def _scaled(out: Any, factor: float) -> Any:
    return out * factor if isinstance(out, Tensor) else (out[0] * factor, *out[1:])


def honest_members(stage: AnyStage) -> list[Member]:
    """Honest explainers of a stage."""
    return [*_honest_gradients(stage), *_honest_probes(stage), *_honest_logits(stage)]


def _honest_gradients(stage: AnyStage) -> list[Member]:
    table = Table()

    @table.honest
    def gradient_of_the_score(model, images, targets):
        return _gradient(model, images, targets)

    @table.honest
    def gradient_on_a_deep_copy(model, images, targets):
        return _gradient(copy.deepcopy(model), images, targets)

    @table.honest
    def grad_cam_on_the_last_places(model, images, targets):
        return _cam(*_activation_and_slope(model, stage.last, images, targets))

    @table.honest
    def grad_cam_halfway(model, images, targets):
        return _cam(*_activation_and_slope(model, stage.middle, images, targets))

    @table.honest
    def grad_cam_of_some_pictures_at_once(model, images, targets):
        three = images.repeat(3, 1, 1, 1), targets.repeat_interleave(3, 0)
        return _cam(*_activation_and_slope(model, stage.last, *three))[:1]

    @table.honest
    def smooth_grad(model, images, targets):
        generator = torch.Generator().manual_seed(1)
        noisy = [images + 0.1 * torch.randn(images.shape, generator=generator) for _ in range(4)]
        return sum(_gradient(model, one, targets) for one in noisy)

    @table.honest
    def integrated_gradients(model, images, targets):
        steps = [k / 4 for k in range(1, 5)]
        return images.abs().sum(1) * sum(_gradient(model, images * k, targets) for k in steps)

    return list(table)


def _honest_probes(stage: AnyStage) -> list[Member]:
    table = Table()

    @table.honest
    @torch.no_grad()
    def occlusion(model, images, targets):
        whole, side = score(model, images, targets), images.shape[-1] // PATCH
        drops = images.new_zeros(len(images), side, side)
        for row in range(side):
            for column in range(side):
                hidden = images.clone()
                hidden[:, :, row * PATCH :, column * PATCH :][:, :, :PATCH, :PATCH] = 0
                drops[:, row, column] = whole - score(model, hidden, targets)
        return drops

    @table.honest
    @torch.no_grad()
    def random_masks_in_one_batch(model, images, targets):
        generator = torch.Generator().manual_seed(2)
        masks = (torch.rand(12, 1, 4, 4, generator=generator) > 0.5).float()
        large = functional.interpolate(masks, images.shape[-2:])
        many = targets.repeat_interleave(12, 0)
        weights = score(model, images * large, many)
        return (weights[:, None, None] * masks[:, 0]).mean(0, keepdim=True)

    @table.honest
    @torch.no_grad()
    def channels_halfway_left_out(model, images, targets):
        whole, drops = score(model, images, targets), []
        for channel in range(6):

            def without(_module, _args, out, channel=channel):
                first = (out if isinstance(out, Tensor) else out[0]).clone()
                axis = 1 if first.ndim == 4 else 2
                first.select(axis, channel).zero_()
                return first if isinstance(out, Tensor) else (first, *out[1:])

            handle = _with_hook(model, stage.middle, without)
            drops.append(whole - score(model, images, targets))
            handle.remove()
        return torch.stack(drops).mean() * images.mean(1)

    @table.honest
    @torch.no_grad()
    def score_cam_of_more_channels_than_places(model, images, targets):
        kept = []

        def keep(_module, _args, out):
            kept.append(out if isinstance(out, Tensor) else out[0])

        handle = _with_hook(model, stage.last, keep)
        score(model, images, targets)
        masks = _channels(kept[0])[:20]
        masks = torch.cat([masks / masks.amax((1, 2), keepdim=True), 0 * masks[:1]])
        large = functional.interpolate(masks[:, None], images.shape[-2:], mode="bilinear")
        weights = score(model, images * large, targets.repeat_interleave(len(masks), 0))
        handle.remove()
        return (weights[:, None, None] * masks).sum(0, keepdim=True).relu()

    return list(table)


def _honest_logits(stage: AnyStage) -> list[Member]:
    table = Table()
    if stage.structure.text is None:

        @table.honest
        def gradient_of_the_log_probability(model, images, targets):
            pixels = images.clone().requires_grad_()
            value = logits_of(model, pixels).log_softmax(-1)[:, targets].sum()
            return torch.autograd.grad(value, pixels)[0].abs().sum(1)

        @table.honest
        def gradient_of_the_margin(model, images, targets):
            pixels = images.clone().requires_grad_()
            logits = logits_of(model, pixels)
            others = logits.clone()
            others[:, targets] = -torch.inf
            value = (logits[:, targets].sum(-1) - others.amax(-1)).sum()
            return torch.autograd.grad(value, pixels)[0].abs().sum(1)

    return list(table)


def faulty_members(stage: AnyStage) -> list[Member]:
    """Planted faults on a stage; P110 is asked as well."""
    return [*_faulty_passes(stage), *_faulty_copies(stage)]


def _faulty_passes(stage: AnyStage) -> list[Member]:
    table = Table()

    @table.faulty("P104" if stage.structure.text is None else "P103 P104")
    def another_target(model, images, targets):
        other = targets.clone()
        if targets.ndim > 1:
            other[:, 1:5] = 7
        else:
            other += 1
        return _gradient(model, images, other)

    @table.faulty("P103")
    def a_blurred_picture(model, images, targets):
        blurred = functional.avg_pool2d(images, 3, 1, 1)
        return _gradient(model, blurred, targets)

    @table.faulty("P104 P105")
    def a_layer_halved(model, images, targets):
        handle = _with_hook(model, stage.middle, lambda _m, _a, out: _scaled(out, 0.5))
        try:
            return _gradient(model, images, targets)
        finally:
            handle.remove()

    @table.faulty("P104 P105")
    def a_layer_a_little_larger_on_a_copy(model, images, targets):
        other = copy.deepcopy(model)
        _with_hook(other, stage.middle, lambda _m, _a, out: _scaled(out, 1.01))
        return _gradient(other, images, targets)

    @table.faulty("P104 P105")
    def a_layer_skipped(model, images, targets):
        def skip(_module, args, out):
            same = isinstance(out, Tensor) and out.shape == args[0].shape
            return args[0] if same else _scaled(out, 0.0)

        handle = _with_hook(model, stage.middle, skip)
        try:
            return _cam(*_activation_and_slope(model, stage.last, images, targets))
        finally:
            handle.remove()

    return list(table)


def _faulty_copies(stage: AnyStage) -> list[Member]:
    table = Table()

    @table.faulty("P101 P104 P105")
    def other_weights_on_a_copy(model, images, targets):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(1.05)
        return _gradient(other, images, targets)

    @table.faulty("P101", either={"P104": "as far as the layer goes", "P105": "likewise"})
    def weights_changed_and_put_back(model, images, targets):
        (_, parameter), *_ = model.get_submodule(stage.middle).named_parameters()
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.mul_(1.3)
        try:
            return _gradient(model, images, targets)
        finally:
            with torch.no_grad():
                parameter.copy_(before)

    @table.faulty("P110")
    def slopes_made_positive_halfway(model, images, targets):
        other = copy.deepcopy(model)
        kept = []

        def keep(_module, _args, out):
            first = out if isinstance(out, Tensor) else out[0]
            first.register_hook(lambda slope: slope.clamp(min=0))
            kept.append(first)

        _with_hook(other, stage.middle, keep)
        return _gradient(other, images, targets)

    if any(isinstance(m, nn.BatchNorm2d) for m in stage.model.modules()):

        @table.faulty("P104 P105", either={"P101": "running statistics move", "P102": "likewise"})
        def normalized_by_the_picture(model, images, targets):
            return _gradient(copy.deepcopy(model).train(), images, targets)

    return list(table)
