"""Grad-CAM without a layer argument, against pytorch-grad-cam and slow versions."""

import pytest
import timm
import torch
import torchvision
from open_clip.model import CLIP
from torch import nn

from audit.explainers.contract import run_explainer
from audit.explainers.grad_cam import grad_cam
from audit.explainers.registry import load_explainer
from audit.explainers.spatial_activation import chosen_activation, outputs_kept
from tests.oracles import oracle

TARGETS = torch.tensor([4, 0, 9])


def photos(size, dtype=torch.float32, pictures=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(pictures, 3, *size, generator=generator, dtype=dtype)


def made(build, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(num_classes=10, **options).eval()


@pytest.fixture(scope="module")
def resnet():
    return made(torchvision.models.resnet18)


def vit(**options):
    small = {"img_size": 64, "patch_size": 16, "embed_dim": 24, "depth": 3, "num_heads": 3}
    return made(timm.models.VisionTransformer, **(small | options))


def torchvision_vit():
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 24, "mlp_dim": 48}
    return made(torchvision.models.VisionTransformer, image_size=64, patch_size=16, **sizes)


def convnext():
    return made(timm.models.ConvNeXt, depths=(1, 1, 1, 1), dims=(8, 12, 16, 24))


def swin():
    sizes = {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4}
    return made(timm.models.SwinTransformer, img_size=64, patch_size=4, **sizes)


LAYERS = [
    (vit, "blocks.1", 1, (4, 4)),  # the last block's own patches move no class token
    (lambda: vit(global_pool="avg", class_token=False, fc_norm=False), "blocks", 0, (4, 4)),
    (lambda: vit(reg_tokens=4), "blocks.1", 5, (4, 4)),
    (convnext, "norm_pre", 0, (2, 2)),
    (swin, "norm", 0, (8, 8)),
]


def chosen(model, images, targets):
    images = images.clone().requires_grad_()
    with outputs_kept(model) as outputs:
        scores = model(images)
    total = scores[torch.arange(len(images)), targets].sum()
    return chosen_activation(outputs, images, (7, 7), total)


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_it_is_that_of_pytorch_grad_cam(resnet, size):
    cams = oracle("pytorch_grad_cam")
    output_targets = oracle("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
    images = photos(size)
    with cams.GradCAM(model=resnet, target_layers=[resnet.layer4]) as cam:
        cam(input_tensor=images.clone(), targets=[output_targets(int(t)) for t in TARGETS])
        seen = cam.activations_and_grads
        wanted = cam.get_cam_image(
            images,
            resnet.layer4,
            [output_targets(int(t)) for t in TARGETS],
            seen.activations[0].numpy(),
            seen.gradients[0].numpy(),
            eigen_smooth=False,
        )
    resnet.zero_grad()
    found = grad_cam(resnet, images, TARGETS)
    wanted = torch.as_tensor(wanted).relu()
    assert found.maps.shape == (3, size[0] // 32, size[1] // 32)
    torch.testing.assert_close(found.maps, wanted, rtol=0, atol=1e-5)
    assert float(wanted.max()) > 1e-3


@pytest.mark.parametrize(("build", "name", "prefix", "grid"), LAYERS)
def test_the_layer_is_found(build, name, prefix, grid):
    model, images = build(), photos((64, 64))
    seen = chosen(model, images, TARGETS)
    assert (seen.name, seen.prefix, seen.grid) == (name, prefix, grid)
    found = grad_cam(model, images, TARGETS)
    assert found.maps.shape == (3, *grid)
    assert float(found.maps.max()) > 0
    with torch.no_grad():
        torch.testing.assert_close(found.scores, model(images)[torch.arange(3), TARGETS])


def test_a_transformer_of_torchvision():
    model = torchvision_vit()
    nn.init.normal_(model.heads.head.weight)  # which torchvision sets to zero
    seen = chosen(model, photos((64, 64)), TARGETS)
    assert (seen.name, seen.grid) == ("encoder.layers.encoder_layer_0", (4, 4))


def test_the_queries_of_a_pooling_are_no_places(build_pairs):
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 8, "layers": 3}
    vision |= {"attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 16}
    text = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 4, "layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIP(16, vision, text).eval()
    images, tokens = build_pairs(3, dtype=torch.float32)
    with outputs_kept(model) as outputs:
        features = model.encode_image(images.requires_grad_(), normalize=True)
    scores = (features * model.encode_text(tokens, normalize=True).detach()).sum()
    seen = chosen_activation(outputs, images, (7, 7), scores)
    assert (seen.name, seen.prefix, seen.grid) == ("visual.transformer", 1, (4, 4))


def test_layers_that_give_tuples():
    """As those of transformers' Swin; pytorch-grad-cam takes the last that gives a tensor."""
    oracle("pytorch_grad_cam")

    class Pair(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x), None

    class First(nn.Module):
        def forward(self, x):
            return x[0].mean((2, 3))

    conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, 2))
    model = nn.Sequential(Pair(conv), First(), nn.Linear(8, 10))
    images = photos((32, 32))
    assert chosen(model, images, TARGETS).name == "0"
    for spec in ("grad-cam", "pytorch-grad-cam:GradCAM"):
        assert run_explainer(load_explainer(spec), model, images, TARGETS).maps.shape == (3, 7, 7)


def test_tokens_against_a_slow_version(clip, pairs):
    """The patches that enter the last block, one pair at a time."""
    images, tokens = pairs
    found = grad_cam(clip, images, tokens)
    block = clip.visual.transformer.resblocks[-1]
    for i in range(3):
        entered = []
        hook = block.register_forward_pre_hook(lambda _m, args, kept=entered: kept.append(args[0]))
        feature = clip.encode_image(images[i : i + 1].clone().requires_grad_(), normalize=True)
        hook.remove()
        text = clip.encode_text(tokens[i : i + 1], normalize=True).detach()
        (slope,) = torch.autograd.grad((feature * text).sum(), entered[0])
        weights = slope[0, 1:].mean(0)
        wanted = (entered[0][0, 1:].detach() @ weights).relu().reshape(4, 4)
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-12)


def test_the_released_baseline_against_a_slow_version(clip, pairs):
    """One head in the last block, and the class token among those that weights are a mean of."""
    images, tokens = pairs
    found = grad_cam(clip, images, tokens, heads="released")
    visual, block = clip.visual, clip.visual.transformer.resblocks[-1]
    attn = block.attn
    for i in range(3):
        entered = []
        hook = block.register_forward_pre_hook(lambda _m, args, kept=entered: kept.append(args[0]))
        clip.encode_image(images[i : i + 1])
        hook.remove()
        x = entered[0][0].detach().requires_grad_()
        q, k, v = (block.ln_1(x) @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, -1)
        mixed = (q @ k.T / q.shape[-1] ** 0.5).softmax(-1) @ v
        y = x + attn.out_proj(mixed)
        y = y + block.mlp(block.ln_2(y))
        feature = nn.functional.normalize(visual.ln_post(y[0]) @ visual.proj, dim=-1)
        text = clip.encode_text(tokens[i : i + 1], normalize=True).detach()[0]
        (slope,) = torch.autograd.grad(feature @ text, x)
        wanted = (x[1:].detach() @ slope.mean(0)).relu().reshape(4, 4)
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-12)
        assert float(found.scores[i]) == pytest.approx((feature @ text).item(), abs=1e-12)
    assert not torch.allclose(found.maps, grad_cam(clip, images, tokens).maps, atol=1e-3)
    with pytest.raises(ValueError, match="expected no layer with heads=released"):
        grad_cam(clip, images, tokens, heads="released", layer="visual")


def test_a_layer_by_name(resnet):
    images = photos((64, 64))
    chosen_one = load_explainer("grad-cam", {"layer": "layer3"})
    assert run_explainer(chosen_one, resnet, images, TARGETS).maps.shape == (3, 4, 4)
    last = run_explainer(load_explainer("grad-cam?layer=layer4"), resnet, images, TARGETS)
    assert torch.equal(last.maps, grad_cam(resnet, images, TARGETS).maps)
    tokens = run_explainer(load_explainer("grad-cam?layer=blocks.2.norm1"), vit(), images, TARGETS)
    assert tokens.maps.shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("layer5", r"found none named 'layer5' \(did you mean 'layer"),
        ("fc", r"expected layer 'fc' to give a feature map .* found none"),
        ("avgpool", r"expected layer 'avgpool' to give a feature map"),
    ],
)
def test_a_layer_that_will_not_do(resnet, layer, words):
    with pytest.raises(ValueError, match=words):
        grad_cam(resnet, photos((64, 64)), TARGETS, layer=layer)


def test_a_network_without_places():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
    with pytest.raises(ValueError, match="expected Sequential to give a feature map"):
        grad_cam(flat, photos((8, 8)), TARGETS)


def test_a_head_of_zeros_gives_a_map_of_zeros(resnet):
    model = torchvision_vit()
    assert not bool(grad_cam(model, photos((64, 64)), TARGETS).maps.any())


def test_nothing_stays_on_the_model_not_even_after_an_error(resnet):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

        def forward(self, x):
            self.conv(x)
            raise ArithmeticError

    model = Broken()
    with pytest.raises(ArithmeticError):
        grad_cam(model, photos((8, 8)), TARGETS)
    grad_cam(resnet, photos((64, 64)), TARGETS)
    for module in [*model.modules(), *resnet.modules()]:
        assert not module._forward_hooks  # noqa: SLF001 - torch's own
    assert all(p.grad is None for p in resnet.parameters())


def test_pictures_share_their_forward_pass(resnet):
    rows = []
    handle = resnet.register_forward_hook(lambda _m, args, _o: rows.append(len(args[0])))
    images = photos((64, 64), pictures=1).repeat(5, 1, 1, 1)
    try:
        found = grad_cam(resnet, images, torch.arange(5)).maps
    finally:
        handle.remove()
    assert rows == [1]
    alone = torch.cat([grad_cam(resnet, images[:1], torch.tensor([t])).maps for t in range(5)])
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-6)
