"""The grid of a model without known inside, seen in one pass."""

import pytest
import timm
import torch
from torch import nn

from audit.models.patch_grids import observed_grid


def made(name, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, **options).eval()


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [
        ("test_vit", 160, 10),  # 16 pixels a patch, with a class token
        ("test_vit3", 160, 10),
        ("test_resnet", 160, 5),
        ("test_efficientnet", 160, 5),
        ("test_convnext", 160, 5),
        ("test_mambaout", 160, 5),
        ("swin_tiny_patch4_window7_224", 224, 7),  # channels last, windows within
        ("vgg11", 224, 7),
    ],
)
def test_the_last_feature_map_is_the_grid(name, size, side):
    module = made(name)
    assert observed_grid(module, size, module) == (side, side)


def hooks_of(part):
    return {**vars(part)["_forward_hooks"], **vars(part)["_forward_pre_hooks"]}


class Tokens(nn.Module):
    """Patches without any convolution, and attention maps that are square too."""

    def __init__(self, prefix):
        super().__init__()
        self.embed = nn.Linear(3 * 8 * 8, 6)
        self.prefix = nn.Parameter(torch.zeros(1, prefix, 6))
        self.attention = nn.Identity()
        self.norm = nn.LayerNorm(6)

    def forward(self, images):
        patches = nn.functional.unfold(images, 8, stride=8).transpose(1, 2)
        x = torch.cat([self.prefix.expand(len(images), -1, -1), self.embed(patches)], dim=1)
        self.attention((x @ x.mT)[:, None])
        return self.norm(x)[:, 0]


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_fill_a_square(prefix):
    module = Tokens(prefix)
    module.attention.forward = lambda x: x[:1]  # of another number of pictures
    assert observed_grid(module, 48, module) == (6, 6)


def test_without_anything_to_see_there_is_a_cell_for_every_32_pixels():
    module = nn.Flatten()
    assert observed_grid(module, 96, lambda images: None) == (4, 4)
    assert observed_grid(nn.Flatten(1), 224, lambda images: None) == (7, 7)


def test_the_module_is_left_as_it_was_and_looked_at_once():
    module, same = made("test_resnet"), made("test_resnet")
    module.told = same.told = "of a structure that no other test has"
    before = {n: dict(vars(m)) for n, m in module.named_modules()}
    passes = []

    def run(images):
        passes.append(images.shape)
        return module(images)

    for asked in (module, same):
        assert observed_grid(asked, 160, run) == (5, 5)
    assert passes == [(2, 3, 160, 160)]
    assert observed_grid(module, 320, run) == (10, 10)
    for name, part in module.named_modules():
        assert vars(part).keys() == before[name].keys()
        assert not hooks_of(part)


def test_hooks_are_taken_away_when_the_pass_fails():
    module = made("test_resnet")
    module.told = "of another structure"
    with pytest.raises(RuntimeError):
        observed_grid(module, 160, lambda images: module(images[:, :1]))
    assert not any(hooks_of(part) for part in module.modules())
