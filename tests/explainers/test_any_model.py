"""Built-in explainers on models that are not open_clip's, some without a known inside."""

import pytest
import timm
import torch
import torchvision

from audit.explainers.binding import bound
from audit.explainers.built_in import BUILT_IN
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.module_interface import EncodingTowers, Logits, interface_of
from tests.class_head import class_pairs, model_with_class_head
from tests.oracles import oracle
from tests.reduced_settings import reduced

FEW = {"score-cam"}  # a pass for each of 512 channels; `test_mask_methods` has a smaller network
ANYWHERE = [reduced(n) for n in BUILT_IN if not BUILT_IN[n].needs and n not in FEW]
ADAPTED = [
    "inverted:gradient",
    "captum:IntegratedGradients?n_steps=40",
    "captum:Saliency",
    "captum:Occlusion",
    "captum:FeatureAblation",
    "pytorch-grad-cam:GradCAM",
]
every = pytest.mark.parametrize("spec", [*ANYWHERE, *ADAPTED])


@pytest.fixture(scope="module")
def resnet():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.resnet18(num_classes=10).eval().double()


@pytest.fixture(scope="module")
def photos():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 3, 64, 64, generator=generator, dtype=torch.float64)
    return images, torch.tensor([4, 3, 9])


@every
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_a_small_classifier(spec):
    model = model_with_class_head()
    pairs = class_pairs(model)
    images, targets = pairs.batch(torch.arange(5), torch.device("cpu"), torch.float32)
    window = {"window": "1"} if spec == "occlusion" else {}
    explainer = bound(load_explainer(spec, window), model, pairs.targets)
    found = run_explainer(explainer, model.module, images, targets)
    assert found.maps.shape == (5, 2, 2)
    spread = found.maps.flatten(1).amax(1) - found.maps.flatten(1).amin(1)
    if spec != "center-prior":  # which is even on four patches
        assert int((spread > 0).sum()) >= 4  # a Grad-CAM may be zero throughout
    if found.scores is not None:
        with torch.no_grad():
            torch.testing.assert_close(found.scores, model.score(images, targets))


@every
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_a_resnet_that_nobody_describes(spec, resnet, photos):
    if spec.startswith(("captum", "pytorch")):
        oracle("captum")
        oracle("pytorch_grad_cam")
    found = run_explainer(load_explainer(spec), resnet, *photos)
    assert found.maps.shape == (3, *((2, 2) if "cam" in spec and ":" not in spec else (7, 7)))
    assert bool((found.maps.flatten(1).amax(1) > found.maps.flatten(1).amin(1)).all())
    assert all(parameter.grad is None for parameter in resnet.parameters())
    if found.scores is not None:
        with torch.no_grad():
            wanted = resnet(photos[0])[torch.arange(3), photos[1]]
        torch.testing.assert_close(found.scores, wanted)


def test_the_gradient_is_that_of_the_logit(resnet, photos):
    images, targets = photos
    maps = run_explainer(load_explainer("gradient"), resnet, images, targets).maps
    for i in range(3):
        pixels = images[i : i + 1].clone().requires_grad_()
        (slope,) = torch.autograd.grad(resnet(pixels)[0, targets[i]], pixels)
        largest = slope[0].abs().amax(0)
        for row in range(7):
            for column in range(7):  # patches of 64 / 7 pixels, which overlap by one
                y, x = (slice(64 * k // 7, -(-64 * (k + 1) // 7)) for k in (row, column))
                assert float(maps[i, row, column]) == pytest.approx(float(largest[y, x].mean()))


def test_occlusion_where_patches_are_no_whole_pixels(resnet, photos):
    images, targets = photos
    maps = run_explainer(load_explainer("occlusion?window=1"), resnet, images, targets).maps
    with torch.no_grad():
        scores = resnet(images)[torch.arange(3), targets]
        for row, column in ((0, 0), (3, 5), (6, 6)):
            hidden = images.clone()
            y, x = (slice(64 * k // 7, 64 * (k + 1) // 7) for k in (row, column))
            hidden[:, :, y, x] = 0
            drop = scores - resnet(hidden)[torch.arange(3), targets]
            torch.testing.assert_close(maps[:, row, column], drop)


def test_integrated_gradients_add_up_to_the_logit(resnet, photos):
    oracle("captum")
    images, targets = photos[0][..., :63, :63], photos[1]
    explainer = load_explainer("captum:IntegratedGradients?n_steps=40")
    total = run_explainer(explainer, resnet, images, targets).maps.sum((1, 2)) * 81
    with torch.no_grad():
        drop = resnet(images) - resnet(torch.zeros_like(images))
    torch.testing.assert_close(total, drop[torch.arange(3), targets], rtol=0.02, atol=0.02)


def test_smooth_gradients_on_a_class_head(resnet, photos):
    oracle("captum")
    torch.manual_seed(0)
    explainer = load_explainer("captum:GradientShap?n_samples=2")
    assert explainer.stochastic
    assert run_explainer(explainer, resnet, *photos).maps.shape == (3, 7, 7)


def test_how_a_module_is_called_is_told_by_its_structure(clip, pairs, resnet, photos):
    assert isinstance(interface_of(clip), EncodingTowers)
    assert interface_of(clip).patch_grid(clip) == (4, 4)
    called = interface_of(resnet)
    assert isinstance(called, Logits)
    with torch.no_grad():
        score = (
            called.features(resnet, photos[0]) * called.target_features(resnet, photos[1])
        ).sum(1)
        torch.testing.assert_close(score, resnet(photos[0])[torch.arange(3), photos[1]])
    with pytest.raises(ValueError, match="expected a class head with a weight"):
        called.target_features(torch.nn.Conv2d(3, 2, 1), photos[1])


def test_a_vision_transformer_of_timm(photos):
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=10)
    images, targets = photos[0].float(), photos[1]
    for spec in ("gradient", "grad-cam", "occlusion"):
        found = run_explainer(load_explainer(spec), vit.eval(), images, targets)
        with torch.no_grad():
            torch.testing.assert_close(found.scores, vit(images)[torch.arange(3), targets])
        assert float(found.maps.abs().max()) > 0
