"""Methods of pytorch-grad-cam on several layers, as the library itself gives them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from tests.oracles import oracle

pytestmark = pytest.mark.filterwarnings("default")
TARGETS = torch.tensor([1, 0, 3])
BLOCKS = [f"visual.transformer.resblocks.{n}" for n in range(2)]


@pytest.fixture(autouse=True)
def cams():
    return oracle("pytorch_grad_cam")


@pytest.fixture
def network():
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, 2, 1), nn.Tanh(), nn.Conv2d(5, 6, 3, 2, 1), nn.Tanh(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    ).eval()  # fmt: skip


@pytest.fixture
def images():
    return torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(6))


def maps(spec, *given):
    return run_explainer(load_explainer(f"pytorch-grad-cam:{spec}"), *given).maps


@pytest.mark.parametrize(
    "name",
    ["GradCAM", "GradCAMPlusPlus", "LayerCAM", "HiResCAM", "XGradCAM", "ScoreCAM", "RefineCAM"],
)
@pytest.mark.parametrize("layers", ["3", "1,3"])
def test_layers_of_a_network(cams, network, images, name, layers):
    output = oracle("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
    places = [network[int(n)] for n in layers.split(",")]
    cam = getattr(cams, name)(model=network, target_layers=places)
    wanted = cam(input_tensor=images.clone(), targets=[output(int(t)) for t in TARGETS])
    for one in (cam, *getattr(cam, "base_cam_per_layer", ())):
        if hasattr(one, "activations_and_grads"):
            one.activations_and_grads.release()
    found = maps(f"{name}?layers={layers}", network, images, TARGETS)
    wanted = functional.avg_pool2d(torch.as_tensor(wanted), 4)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert not any(m._forward_hooks for m in network.modules())  # noqa: SLF001 - torch's own


def test_the_product_of_layers_is_zero_where_one_of_them_is(network, images):
    each = [maps(f"GradCAMPlusPlus?layers={n}", network, images, TARGETS) for n in (1, 3)]
    product = maps("RefineCAM?layers=1, 3", network, images, TARGETS)
    for one in each:
        assert not bool((product[one == 0] > 0).any())
    assert not torch.allclose(product, maps("GradCAMPlusPlus?layers=1,3", network, images, TARGETS))


def test_layers_of_tokens_and_of_pictures_together(clip, pairs):
    given = (clip, *pairs)
    each = [maps(f"GradCAM?layers={layer}", *given) for layer in (*BLOCKS, "visual.conv1")]
    both = maps(f"GradCAM?layers={','.join(BLOCKS)}", *given)
    # the library scales each layer's map, and their mean, to [0, 1] at the picture's pixels
    assert both.shape == each[0].shape == (6, 4, 4)
    mean = (each[0] + each[1]) / 2
    for one, other in zip(both.flatten(1), mean.flatten(1), strict=True):
        assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) > 0.99
    mixed = maps(f"RefineCAM?layers={BLOCKS[1]},visual.conv1", *given)
    assert mixed.shape == (6, 4, 4)


def test_layers_that_are_not_there_or_have_no_places(network, images):
    with pytest.raises(
        ValueError, match="expected a module of Sequential as the layer, found none"
    ):
        maps("GradCAM?layers=3,nothing", network, images, TARGETS)
    with pytest.raises(ValueError, match="expected layer '6' to give a feature map"):
        maps("GradCAM?layers=6", network, images, TARGETS)
