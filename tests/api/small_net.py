"""A small net with a class head, an honest explainer of it, and one that executes another net."""

import torch
from torch import nn
from torch.nn import functional

SIDE, CLASSES = 16, 3


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 4, 4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, CLASSES),
        ).double()


def tensors(count=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return images, torch.arange(count) % CLASSES


def honest(model, images, targets):
    images = images.clone().requires_grad_()
    scores = model(images)[torch.arange(len(images)), targets]
    return torch.autograd.grad(scores.sum(), images)[0].abs().amax(1)


def faulty(model, images, targets):
    images = images.clone().requires_grad_()
    x = images
    for part in model:
        x = functional.gelu(x) if isinstance(part, nn.ReLU) else part(x)  # the model has ReLU
    return torch.autograd.grad(x[torch.arange(len(x)), targets].sum(), images)[0].abs().amax(1)


class Built:
    """The honest one as a class."""

    def __init__(self, model):
        self.model = model

    def __call__(self, images, targets):
        return honest(self.model, images, targets)
