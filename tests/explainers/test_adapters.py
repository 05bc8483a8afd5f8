"""The adapters, with the real packages where they are installed, else with stand-ins."""

import sys
import types
from copy import deepcopy

import pytest
import torch

from audit.explainers import probed_features
from audit.explainers.contract import run_explainer
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError, UnknownOptionError
from audit.explainers.registry import load_explainer
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle


class InputXGradient:
    """Stands in for a class of captum.attr."""

    def __init__(self, forward_func):
        self.forward_func = forward_func

    def attribute(
        self,
        inputs,
        baselines=None,
        additional_forward_args=None,
        factor: float = 1.0,
        return_convergence_delta: bool = False,
    ):
        scores = self.forward_func(inputs, *additional_forward_args)
        (slope,) = torch.autograd.grad(scores.sum(), inputs)
        return (slope * (inputs - baselines)).detach() * factor


class Neuron:
    def __init__(self, model):
        self.model = model

    def attribute(self, inputs, neuron_selector):
        return inputs[:, neuron_selector]


class Wrapped:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def attribute(self, inputs):
        return inputs


@pytest.fixture
def fake_captum(monkeypatch):
    attr = types.ModuleType("captum.attr")
    attr.InputXGradient, attr.Neuron, attr.Wrapped = InputXGradient, Neuron, Wrapped
    attr.__all__ = ["InputXGradient", "Neuron", "Wrapped"]
    captum = types.ModuleType("captum")
    captum.attr = attr
    monkeypatch.setitem(sys.modules, "captum", captum)
    monkeypatch.setitem(sys.modules, "captum.attr", attr)


def slow_input_x_gradient(model, images, tokens):
    pixels = images.clone().requires_grad_()
    score = anatomy_of(model).scores(pixels, tokens).sum()
    (slope,) = torch.autograd.grad(score, pixels)
    product = (slope * images).sum(1)
    patches = product.unfold(1, 8, 8).unfold(2, 8, 8)
    return patches.mean((-1, -2)).detach()


def test_captum(fake_captum, clip, pairs):
    explainer = load_explainer("captum:InputXGradient", {"factor": "2"})
    with torch.no_grad():
        found = run_explainer(explainer, clip, *pairs).maps
    torch.testing.assert_close(found, 2 * slow_input_x_gradient(clip, *pairs))
    assert explainer.summary.startswith("InputXGradient of captum")


def test_captum_messages(fake_captum):
    with pytest.raises(UnknownExplainerError, match="did you mean 'InputXGradient'"):
        load_explainer("captum:InputXGrad")
    with pytest.raises(UnknownExplainerError, match="another method, got one that takes 'tok"):
        load_explainer("captum:Wrapped")
    with pytest.raises(UnknownExplainerError, match="got one that explains a neuron; write an"):
        load_explainer("captum:Neuron")
    with pytest.raises(UnknownOptionError, match="its options: factor=float"):
        load_explainer("captum:InputXGradient?n_steps=3")


@pytest.mark.parametrize(
    ("spec", "package", "name"),
    [
        ("captum:Saliency", "captum", "captum"),
        ("pytorch-grad-cam:GradCAM", "pytorch_grad_cam", "grad-cam"),
    ],
)
def test_missing_package(spec, package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExplainerImportError, match=f"`pip install {name}`"):
        load_explainer(spec)


def test_real_captum(clip, pairs):
    oracle("captum")
    images, tokens = pairs[0][:2], pairs[1][:2]
    found = run_explainer(load_explainer("captum:InputXGradient"), clip, images, tokens).maps
    torch.testing.assert_close(found, slow_input_x_gradient(clip, images, tokens))
    steps = load_explainer("captum:IntegratedGradients?n_steps=512")
    total = run_explainer(steps, clip, images, tokens).maps.sum((1, 2)) * 64
    with torch.no_grad():
        score = anatomy_of(clip).scores
        expected = score(images, tokens) - score(torch.zeros_like(images), tokens)
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-4)
    for spec in ("Occlusion", "FeatureAblation", "GradientShap", "Saliency"):
        maps = run_explainer(load_explainer(f"captum:{spec}"), clip, images, tokens).maps
        assert maps.shape == (2, 4, 4)
    with pytest.raises(UnknownExplainerError, match="cannot be adapted"):
        load_explainer("captum:NeuronDeepLift")


@pytest.mark.parametrize("name", ["IntegratedGradients", "Occlusion", "FeatureAblation"])
def test_real_captum_gives_the_same_maps_in_batches(name, clip, pairs, monkeypatch):
    oracle("captum")
    rows = []
    clip.visual.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    explainer = load_explainer(f"captum:{name}")
    large = run_explainer(explainer, clip, *pairs).maps
    most, passes = max(rows), len(rows)
    monkeypatch.setattr(probed_features, "BATCH", {"cpu": len(pairs[0])})
    small = run_explainer(explainer, clip, *pairs).maps
    torch.testing.assert_close(large, small)
    assert len(pairs[0]) < most <= 32
    assert len(rows) > 2 * passes


@pytest.mark.filterwarnings("default")
def test_real_grad_cam(clip, pairs):
    oracle("pytorch_grad_cam")
    explainer = load_explainer("pytorch-grad-cam:GradCAM")
    clip.logit_scale.grad = torch.tensor(5.0, dtype=torch.float64)
    with torch.no_grad():
        found = run_explainer(explainer, clip, *pairs).maps
    assert float(clip.logit_scale.grad) == 5
    clip.logit_scale.grad = None
    assert all(p.grad is None for p in clip.parameters())
    assert not any(m._forward_hooks for m in clip.modules())  # noqa: SLF001 - torch's own
    torch.testing.assert_close(
        found, slow_grad_cam(clip, *pairs).float(), rtol=0, atol=2e-4, check_dtype=False
    )


def slow_grad_cam(model, images, tokens):
    tower = anatomy_of(model).image
    x = tower.run(tower.embed(images), 0, 2)
    y = tower.blocks[-1].module.ln_1(x).detach().requires_grad_()
    attended = tower.blocks[-1].attention_module(y, y, y, need_weights=False)[0]
    z = x + attended
    z = z + tower.blocks[-1].module.mlp(tower.blocks[-1].module.ln_2(z))
    feature = torch.nn.functional.normalize(tower.readout(z[:, 0]), dim=-1)
    score = (feature * model.encode_text(tokens, normalize=True)).sum()
    (slope,) = torch.autograd.grad(score, y)
    weights = slope[:, 1:].mean(1, keepdim=True)
    return scaled_as_pictures((weights * y[:, 1:]).sum(-1).relu().reshape(-1, 4, 4).detach())


def scaled_as_pictures(cam):
    """As pytorch-grad-cam gives its maps: enlarged, in [0, 1]; averaged over each patch."""
    picture = torch.nn.functional.interpolate(cam[:, None], size=(32, 32), mode="bilinear")
    low, high = (end(picture, (2, 3), keepdim=True) for end in (torch.amin, torch.amax))
    scaled = (picture - low) / (high - low + 1e-7)
    return torch.nn.functional.avg_pool2d(scaled, 8)[:, 0]


class Regrid(torch.nn.Module):
    """A norm whose patches pass through a module as channels of a picture, for captum to see."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.grid = norm, torch.nn.Identity()

    def forward(self, x):
        normed = self.norm(x)
        patches = self.grid(normed[:, 1:].mT.unflatten(2, (4, 4)))
        return torch.cat([normed[:, :1], patches.flatten(2).mT], 1)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_grad_cam_is_the_layer_grad_cam_of_captum(clip, pairs):
    oracle("pytorch_grad_cam")
    attr = oracle("captum.attr")
    images, tokens = pairs
    found = run_explainer(load_explainer("pytorch-grad-cam:GradCAM"), clip, images, tokens).maps
    copy = deepcopy(clip)
    block = copy.visual.transformer.resblocks[-1]
    block.ln_1 = Regrid(block.ln_1)
    text = copy.encode_text(tokens, normalize=True).detach()
    cam = attr.LayerGradCam(
        lambda pixels: (copy.encode_image(pixels, normalize=True) * text).sum(-1), block.ln_1.grid
    ).attribute(images, relu_attributions=True)
    wanted = scaled_as_pictures(cam[:, 0].detach()).float()
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-4, check_dtype=False)
