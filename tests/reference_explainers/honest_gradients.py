"""Honest explainers: gradients of the model's own score, by every route that people take."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


@TABLE.honest
def backward_of_cosine(model, images, tokens):
    x = images.clone().detach().requires_grad_(True)
    model.zero_grad()
    score = torch.cosine_similarity(model.encode_image(x), model.encode_text(tokens))
    score.sum().backward()
    return parts.pooled_grid(model, x.grad.abs().amax(1))


@TABLE.honest
def backward_with_vector(model, images, tokens):
    x = images.clone().requires_grad_()
    score = parts.cosine(model, x, tokens)
    score.backward(torch.ones_like(score))
    return parts.pooled_grid(model, x.grad.norm(dim=1))


@TABLE.honest
def gradient_of_logits(model, images, tokens):
    text = parts.text_unit(model, tokens)

    def score(x):
        image = model.encode_image(x, normalize=True)
        return model.logit_scale.exp() * (image * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_forward_logits(model, images, tokens):
    def score(x):
        image, text, scale = model(x, tokens)[:3]
        return (scale * image @ text.T).diagonal()

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_probability(model, images, tokens):
    texts = parts.text_unit(model, torch.cat([tokens, parts.class_prompts(tokens)]))
    n = len(tokens)

    def score(x):
        image = F.normalize(model.encode_image(x), dim=-1)
        own = (image * texts[:n]).sum(-1, keepdim=True)
        logits = 20 * torch.cat([own, image @ texts[n:].T], 1)
        return logits.softmax(-1)[:, 0]

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_margin(model, images, tokens):
    own = parts.text_unit(model, tokens)
    rival = parts.text_unit(model, parts.class_prompts(tokens)[:1])

    def score(x):
        image = F.normalize(model.encode_image(x), dim=-1)
        return (image * (own - rival)).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_loss(model, images, tokens):
    texts = model.encode_text(torch.cat([tokens, parts.class_prompts(tokens)])).detach()
    texts = texts / texts.norm(dim=-1, keepdim=True)
    own, others = texts[: len(tokens)], texts[len(tokens) :]

    def loss(x):
        image = model.encode_image(x)
        image = image / image.norm(dim=-1, keepdim=True)
        logits = 10 * torch.cat([(image * own).sum(-1, keepdim=True), image @ others.t()], 1)
        wanted = torch.zeros(len(x), dtype=torch.long)
        return F.cross_entropy(logits, wanted, reduction="none")

    return parts.gradient_map(model, images, loss)


@TABLE.honest
def gradient_of_unnormalized_dot_product(model, images, tokens):
    text = model.encode_text(tokens).detach()
    return parts.gradient_map(model, images, lambda x: (model.encode_image(x) * text).sum(-1))


@TABLE.honest
def gradient_against_prompt_ensemble(model, images, tokens):
    own = parts.text_unit(model, tokens)
    others = parts.text_unit(model, parts.class_prompts(tokens))
    text = F.normalize(own + others.mean(0, keepdim=True), dim=-1)
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) * text).sum(-1)
    )


@TABLE.honest
def input_times_gradient_after_a_first_run(model, images, tokens):
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    x = images.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad(parts.cosine(model, x, tokens).sum(), [x])
    return parts.pooled_grid(model, (g * images).sum(1))


@TABLE.honest
def gradient_in_chunks_with_frozen_parameters(model, images, tokens):
    flags = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(False)
    maps = [
        parts.gradient_map(model, i, lambda x, t=t: parts.cosine(model, x, t))
        for i, t in zip(images.split(1), tokens.split(1), strict=True)
    ]
    for p, flag in zip(model.parameters(), flags, strict=True):
        p.requires_grad_(flag)
    return torch.cat(maps)


@TABLE.honest
def gradient_on_a_deep_copy(model, images, tokens):
    clone = copy.deepcopy(model).requires_grad_(False)
    return parts.gradient_map(clone, images, lambda x: parts.cosine(clone, x, tokens))


@TABLE.honest
def gradient_on_a_float64_copy(model, images, tokens):
    clone = copy.deepcopy(model).double()
    return parts.gradient_map(
        clone, images.double(), lambda x: parts.cosine(clone, x, tokens)
    ).float()


@TABLE.honest
def gradient_under_autocast(model, images, tokens):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens)).float()


class _Scores(nn.Module):
    """The wrapper that attribution libraries want."""

    def __init__(self, model, tokens):
        super().__init__()
        self.model, self.tokens = model, tokens

    def forward(self, images):
        image = self.model.encode_image(images, normalize=True)
        text = self.model.encode_text(self.tokens, normalize=True)
        return image @ text.T


@TABLE.honest
def gradient_through_a_wrapper_module(model, images, tokens):
    wrapper = _Scores(model, tokens).eval()
    return parts.gradient_map(model, images, lambda x: wrapper(x).diagonal())


@TABLE.honest
def grad_cam_by_hooks(model, images, tokens):
    kept = {}
    layer = model.visual.transformer.resblocks[-1].ln_1
    handles = [
        layer.register_forward_hook(lambda m, i, o: kept.update(a=o)),
        layer.register_full_backward_hook(lambda m, i, o: kept.update(g=o[0])),
    ]
    try:
        parts.cosine(model, images.clone().requires_grad_(), tokens).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    weights = kept["g"][:, 1:].mean(1, keepdim=True)
    return parts.grid(model, (weights * kept["a"][:, 1:]).sum(-1).relu().detach())


@TABLE.honest
def grad_cam_by_retained_gradients(model, images, tokens):
    kept = []

    def keep(module, inputs, output):
        output.retain_grad()
        kept.append(output)

    handle = model.visual.transformer.resblocks[-2].register_forward_hook(keep)
    parts.cosine(model, images, tokens).sum().backward()
    handle.remove()
    (x,) = kept
    return parts.grid(model, (x.grad * x)[:, 1:].sum(-1).detach())


@TABLE.honest
def functional_gradient(model, images, tokens):
    text = parts.text_unit(model, tokens)

    def score(x):
        return (F.normalize(model.encode_image(x), dim=-1) * text).sum()

    return parts.pooled_grid(model, torch.func.grad(score)(images).abs().sum(1))


@TABLE.honest
def vectorized_gradient(model, images, tokens):
    """One gradient per pair, by vmap."""
    text = parts.text_unit(model, tokens)

    def score(x, t):
        return (F.normalize(model.encode_image(x[None]), dim=-1)[0] * t).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch: no batching rule for a kernel
        g = torch.func.vmap(torch.func.grad(score))(images, text)
    return parts.pooled_grid(model, g.abs().sum(1))


@TABLE.honest
def forward_mode_derivative(model, images, tokens):
    """Directional derivatives of the score, one patch after another, without backward."""
    text = parts.text_unit(model, tokens)
    rows, columns = model.visual.grid_size
    size = model.visual.conv1.kernel_size[0]

    def score(x):
        return (F.normalize(model.encode_image(x), dim=-1) * text).sum(-1)

    out = torch.zeros(len(images), rows, columns)
    for i in range(2):
        for j in range(2):
            direction = torch.zeros_like(images)
            cell = (..., slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
            direction[cell] = images[cell]
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch's own use of torch.jit
                out[:, i, j] = torch.func.jvp(score, (images,), (direction,))[1]
    return out


@TABLE.honest
def functional_call_with_detached_parameters(model, images, tokens):
    weights = {k: v.detach() for k, v in model.named_parameters()}

    def score(x):
        image, text, _ = torch.func.functional_call(model, weights, (x, tokens))[:3]
        return (image * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_renormalized_pixels(model, images, tokens):
    """Back to pixels in [0, 1] and forth again with the same constants."""
    mean = torch.tensor([0.48, 0.46, 0.41])[:, None, None]
    std = torch.tensor([0.27, 0.26, 0.28])[:, None, None]
    raw = images * std + mean

    def score(x):
        return parts.cosine(model, (x - mean) / std, tokens)

    return parts.gradient_map(model, raw, score)


@TABLE.honest
def gradient_with_output_tokens(model, images, tokens):
    """Switches on what the image tower returns besides the feature, and off again."""
    before = model.visual.output_tokens
    model.visual.output_tokens = True
    try:
        text = parts.text_unit(model, tokens)
        return parts.gradient_map(
            model, images, lambda x: (F.normalize(model.visual(x)[0], dim=-1) * text).sum(-1)
        )
    finally:
        model.visual.output_tokens = before


@TABLE.honest
def text_feature_through_numpy(model, images, tokens):
    with torch.no_grad():
        text = torch.from_numpy(model.encode_text(tokens, normalize=True).numpy().copy())
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) * text).sum(-1)
    )


@TABLE.honest
def gradient_of_batch_with_company(model, images, tokens):
    """The picture beside empty and noisy ones; only its own score is explained."""
    text = parts.text_unit(model, tokens)
    noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(0))

    def score(x):
        batch = torch.cat([torch.zeros_like(x), x, noise.expand_as(x)])
        features = model.encode_image(batch, normalize=True)
        return (features[len(x) : 2 * len(x)] * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_manual_cosine(model, images, tokens):
    """Norms by squares and roots, a small number against division by zero."""
    with torch.no_grad():
        text = model.encode_text(tokens)
        text = text / (text.pow(2).sum(-1, keepdim=True).sqrt() + 1e-8)

    def score(x):
        image = model.encode_image(x)
        image = image / torch.sqrt((image**2).sum(dim=-1, keepdim=True) + 1e-12)
        return torch.einsum("be,be->b", image, text)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def gradient_of_text_against_its_mean(model, images, tokens):
    """Texts centered by the mean of class prompts: what tells this text from the others."""
    others = parts.text_unit(model, parts.class_prompts(tokens))
    direction = parts.text_unit(model, tokens) - others.mean(0, keepdim=True)
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) * direction).sum(-1)
    )


@TABLE.honest
def gradient_via_numpy(model, images, tokens):
    x = torch.from_numpy(images.numpy().copy()).requires_grad_()
    parts.cosine(model, x, tokens).sum().backward()
    g = x.grad.numpy()
    return torch.from_numpy(abs(g).sum(1))
