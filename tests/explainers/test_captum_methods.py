"""Methods of captum that need modules, layers or another method, as captum itself gives them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from audit.explainers.contract import run_explainer
from audit.explainers.errors import UnknownExplainerError, UnknownOptionError
from audit.explainers.grad_cam import grad_cam
from audit.explainers.registry import load_explainer
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle

pytestmark = pytest.mark.filterwarnings("ignore:Setting .*hooks:UserWarning")
TARGETS = torch.tensor([1, 0, 3])


@pytest.fixture(autouse=True)
def attr():
    return oracle("captum.attr")


class Network(nn.Sequential):
    """Two convolutions and a class head; captum's LRP has no rule for a module that flattens."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(), nn.Conv2d(5, 6, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Linear(6, 4),
        )  # fmt: skip

    def forward(self, x):
        for one in list(self)[:5]:
            x = one(x)
        return self[5](x.flatten(1))


@pytest.fixture
def network():
    torch.manual_seed(4)
    return Network().double().eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(6)).double()


def maps(spec, *given):
    return run_explainer(load_explainer(f"captum:{spec}"), *given).maps


def on_patches(pixels):
    return functional.avg_pool2d(pixels.detach().sum(1), 4)


@pytest.mark.parametrize("name", ["DeepLift", "LRP", "GuidedBackprop", "Deconvolution"])
def test_what_needs_the_model_gives_captums_own_maps(attr, network, images, name):
    given = {"target": TARGETS}
    if name == "DeepLift":
        given["baselines"] = torch.zeros_like(images)
    wanted = getattr(attr, name)(network).attribute(images.clone().requires_grad_(), **given)
    torch.testing.assert_close(maps(name, network, images, TARGETS), on_patches(wanted))


def test_deep_lift_adds_up_to_the_rise_over_the_mean_color(network, images):
    found = maps("DeepLift", network, images, TARGETS).sum((1, 2)) * 16
    rise = network(images) - network(torch.zeros_like(images))
    torch.testing.assert_close(found, rise[torch.arange(3), TARGETS].detach())


def test_guided_backprop_passes_positive_gradients_alone(network, images):
    x = images.clone().requires_grad_()
    first = network[0](x)
    second = network[2](first.relu())
    slope = network[5].weight[TARGETS][:, :, None, None] / 49  # of the mean over 7 x 7 places
    slope = slope.clamp(min=0) * (second > 0)
    back = nn.functional.conv_transpose2d(slope, network[2].weight, None, 2, 1, output_padding=1)
    back = back.clamp(min=0) * (first > 0)
    wanted = nn.functional.conv_transpose2d(back, network[0].weight, None, 2, 1, output_padding=1)
    torch.testing.assert_close(maps("GuidedBackprop", network, images, TARGETS), on_patches(wanted))


def test_a_tunnel_without_noise_is_the_method_within(network, images):
    quiet = maps("NoiseTunnel?stdevs=0.0&nt_samples=3", network, images, TARGETS)
    torch.testing.assert_close(quiet, maps("Saliency", network, images, TARGETS))
    other = maps("NoiseTunnel?stdevs=0&method=DeepLift", network, images, TARGETS)
    torch.testing.assert_close(other, maps("DeepLift", network, images, TARGETS))
    squared = maps(
        "NoiseTunnel?stdevs=0&nt_type=smoothgrad_sq&method=Saliency", network, images, TARGETS
    )
    assert not torch.allclose(squared, quiet)


def test_a_tunnel_draws_captums_noise(attr, network, images):
    spec = "NoiseTunnel?method=InputXGradient&stdevs=0.3&nt_samples=4"
    explainer = load_explainer(f"captum:{spec}")
    assert explainer.stochastic
    torch.manual_seed(0)
    found = run_explainer(explainer, network, images, TARGETS).maps
    torch.manual_seed(0)
    wanted = attr.NoiseTunnel(attr.InputXGradient(network)).attribute(
        images.clone().requires_grad_(), nt_samples=4, stdevs=0.3, target=TARGETS,
        nt_samples_batch_size=4,
    )  # fmt: skip
    torch.testing.assert_close(found, on_patches(wanted))


def test_a_tunnel_around_what_it_cannot_be_around(network, images):
    for name, message in (
        ("NoiseTunnel", "cannot be around"),
        ("LayerGradCam", "cannot be around"),
    ):
        with pytest.raises(UnknownExplainerError, match=message):
            maps(f"NoiseTunnel?method={name}", network, images, TARGETS)
    with pytest.raises(UnknownExplainerError, match="did you mean 'Saliency'"):
        maps("NoiseTunnel?method=Salience", network, images, TARGETS)
    with pytest.raises(UnknownOptionError, match="option 'stdevs' expected float"):
        load_explainer("captum:NoiseTunnel?stdevs=much")


@pytest.mark.parametrize("layer", [None, "1", "3"])
def test_layer_grad_cam(attr, network, images, layer):
    option = "" if layer is None else f"&layer={layer}"
    found = maps(f"LayerGradCam?relu_attributions=true{option}", network, images, TARGETS)
    place = network[int(layer or 3)]
    wanted = attr.LayerGradCam(network, place).attribute(
        images, target=TARGETS, relu_attributions=True
    )
    torch.testing.assert_close(found, wanted[:, 0].detach())
    own = grad_cam(network, images, TARGETS, layer=layer).maps
    torch.testing.assert_close(found, own)


@pytest.mark.parametrize(
    "name", ["LayerActivation", "LayerGradientXActivation", "LayerDeepLift", "LayerConductance"]
)
def test_layers_of_a_network(attr, network, images, name):
    found = maps(f"{name}?layer=1", network, images, TARGETS)
    given = {} if name == "LayerActivation" else {"target": TARGETS}
    wanted = getattr(attr, name)(network, network[1]).attribute(images, **given)
    torch.testing.assert_close(found, wanted.sum(1).detach())


def test_a_layer_of_tokens_is_put_on_the_grid(clip, pairs):
    images, tokens = pairs
    found = maps("LayerGradientXActivation?layer=visual.transformer.resblocks.1", clip, *pairs)
    tower = anatomy_of(clip).image
    x = tower.run(tower.embed(images), 0, 2).detach().requires_grad_()
    score = (tower.score_features(tower.run(x, 2, 3)) * clip.encode_text(tokens, True)).sum()
    (slope,) = torch.autograd.grad(score, x)
    wanted = (slope * x).sum(-1)[:, 1:].unflatten(1, (4, 4)).detach()
    torch.testing.assert_close(found, wanted)


def test_channels_are_not_weighed_where_tokens_come_first(clip, pairs):
    with pytest.raises(ValueError, match=r"whose second axis LayerGradCam weighs.*grad-cam"):
        maps("LayerGradCam", clip, *pairs)
    with pytest.raises(ValueError, match=r"none named 'visual\.nothing'"):
        maps("LayerActivation?layer=visual.nothing", clip, *pairs)


def test_guided_grad_cam_is_of_the_pixels(attr, network, images):
    found = maps("GuidedGradCam?layer=3", network, images, TARGETS)
    wanted = attr.GuidedGradCam(network, network[3]).attribute(
        images.clone().requires_grad_(), target=TARGETS
    )
    torch.testing.assert_close(found, on_patches(wanted))


def test_nothing_is_left_on_the_network(network, images):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    attributes = [sorted(vars(m)) for m in network.modules()]
    for name in ("LRP", "DeepLift", "GuidedBackprop", "LayerGradCam"):
        maps(name, network, images, TARGETS)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [sorted(vars(m)) for m in network.modules()] == attributes
    hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks) for m in network.modules()]  # noqa: SLF001 - torch's own
    assert not any(any(h) for h in hooks)
