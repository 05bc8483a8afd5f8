"""What holds of every built-in explainer, honest or not."""

import copy
import hashlib

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP

from audit.explainers.built_in import BUILT_IN
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.anatomy import anatomy_of
from tests.reduced_settings import reduced

SPECS = [
    *map(reduced, BUILT_IN),
    "grad-eclip?input=own-size",
    "attention-eclip?heads=model&weight=raw",
]
HONEST = [
    "grad-attention", "attention-logit-gradient", "gradient", "occlusion", "score-cam", "game",
    "smooth-grad?samples=1", "tam?steps=2", "legrad?score=model", "atman", "caap", "clip-surgery",
    "libra-grad", "attn-lrp",
]  # fmt: skip
every = pytest.mark.parametrize("spec", [*SPECS, "inverted:occlusion"])


def state(model):
    digest = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    flags = [(p.requires_grad, p.grad is None, p._version) for p in model.parameters()]  # noqa: SLF001 - torch's own
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), m.training)  # noqa: SLF001 - torch's own
        for m in model.modules()
    ]
    attributes = [sorted(vars(m)) for m in model.modules()]
    return digest.hexdigest(), flags, hooks, attributes


@every
def test_batch_is_one_by_one(spec, clip, build_pairs):
    images, tokens = build_pairs(6, share=2)
    explainer = load_explainer(spec)
    whole = run_explainer(explainer, clip, images, tokens).maps
    for i in range(6):
        alone = run_explainer(explainer, clip, images[i : i + 1], tokens[i : i + 1]).maps
        torch.testing.assert_close(whole[i : i + 1], alone, rtol=0, atol=1e-11)


@every
def test_order_of_pairs_does_not_matter(spec, clip, build_pairs):
    images, tokens = build_pairs(6, share=2)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    explainer = load_explainer(spec)
    straight = run_explainer(explainer, clip, images, tokens).maps
    shuffled = run_explainer(explainer, clip, images[order], tokens[order]).maps
    torch.testing.assert_close(shuffled, straight[order], rtol=0, atol=1e-11)


@every
def test_same_twice_to_the_bit(spec, clip, pairs):
    explainer = load_explainer(spec)
    first, second = (run_explainer(explainer, clip, *pairs).maps for _ in range(2))
    assert torch.equal(first, second)


@every
def test_model_is_left_as_it_was(spec, clip, pairs):
    model = copy.deepcopy(clip)
    next(model.parameters()).requires_grad_(False)
    before = state(model)
    run_explainer(load_explainer(spec), model, *pairs)
    assert state(model) == before


@every
def test_no_grad_callers_and_frozen_models(spec, clip, pairs):
    explainer = load_explainer(spec)
    expected = run_explainer(explainer, clip, *pairs).maps
    frozen = copy.deepcopy(clip).requires_grad_(False)
    with torch.no_grad():
        found = run_explainer(explainer, frozen, *pairs).maps
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(spec, dtype, build_clip, build_pairs):
    model, pairs = build_clip(dtype=dtype), build_pairs(3, dtype=dtype)
    value = load_explainer(spec).explain(model, *pairs)
    maps = value if isinstance(value, torch.Tensor) else value.maps
    assert maps.dtype == torch.float32
    assert bool(torch.isfinite(maps).all())


@pytest.mark.parametrize("spec", [s for s in SPECS if not s.startswith(("text-", "token-"))])
def test_patch_grid_that_is_no_square(spec, wide_clip, build_pairs):
    maps = run_explainer(load_explainer(spec), wide_clip, *build_pairs(2, size=(24, 40))).maps
    assert maps.shape == ((2, 4, 7) if "own-size" in spec else (2, 3, 5))
    assert bool((maps.flatten(1).amax(1) > maps.flatten(1).amin(1)).all())


@pytest.mark.parametrize("spec", [*HONEST, "grad-eclip?heads=model", "attention-eclip?heads=model"])
@pytest.mark.parametrize("precision", [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("cls", [CLIP, CustomTextCLIP])
def test_honest_scores_are_the_models(spec, precision, cls, build_clip, build_pairs):
    dtype, tolerance = precision
    model = build_clip(seed=7, dtype=dtype, cls=cls)
    pairs = build_pairs(8, dtype=dtype, share=2)
    found = run_explainer(load_explainer(spec), model, *pairs).scores
    with torch.no_grad():
        expected = anatomy_of(model).scores(*pairs)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("spec", [s for s in BUILT_IN if not BUILT_IN[s].text_specific])
def test_declared_text_blind_is_text_blind(spec, clip, pairs):
    images, tokens = pairs
    explainer = load_explainer(spec)
    assert not explainer.text_specific
    one, other = (run_explainer(explainer, clip, images, t).maps for t in (tokens, tokens.flip(0)))
    assert torch.equal(one, other)


@pytest.mark.parametrize("spec", [s for s in BUILT_IN if BUILT_IN[s].model_free])
def test_declared_model_free_is_model_free(spec, clip, build_clip, pairs):
    explainer = load_explainer(spec)
    assert explainer.model_free
    one, other = (run_explainer(explainer, m, *pairs).maps for m in (clip, build_clip(seed=9)))
    assert torch.equal(one, other)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every
def test_cuda_is_cpu(spec, clip, pairs):
    explainer = load_explainer(spec)
    expected = run_explainer(explainer, clip, *pairs).maps
    found = run_explainer(explainer, copy.deepcopy(clip).cuda(), *(p.cuda() for p in pairs)).maps
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-9)
