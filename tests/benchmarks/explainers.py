"""Times batched Grad-ECLIP maps against the released way, side by side in one run.

    python tests/benchmarks/explainers.py [--pictures 8] [--texts 8] [--rounds 5] [--device cpu]

The released way takes one picture and one text a call, runs the whole trunk for each, and the last
block for all tokens. Both ways must give the same maps. They take turns in each round; the median
round counts. Exits with 1 where the ratio is below 5.
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

import audit.models
from audit.explainers.grad_eclip import grad_eclip

BUNDLED = Path(audit.models.__file__).parent / "bundled"
NEEDED = 5.0


def load(device):
    """The bundled model where it is there, else a random one of its shape."""
    import open_clip
    from open_clip.model import CLIP

    if (BUNDLED / "open_clip_model.safetensors").exists():
        model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{BUNDLED}")
        return model.eval().to(device), "bundled model"
    torch.manual_seed(0)
    vision = {"image_size": 72, "patch_size": 6, "width": 128, "head_width": 32, "layers": 4}
    text = {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    return CLIP(64, vision, text).eval().to(device), "random model of the bundled shape"


def released(model, image, text):
    """One pair as in the official `generate_emap.py`, at the model's picture size."""
    visual = model.visual
    x = visual._embeds(image)  # noqa: SLF001 - open_clip's own
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    last = visual.transformer.resblocks[-1]
    qkv = functional.linear(last.ln_1(x), last.attn.in_proj_weight, last.attn.in_proj_bias)
    q, k, v = qkv.chunk(3, dim=-1)
    attention = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    output = attention @ v
    z = x + last.attn.out_proj(output)
    z = z + last.mlp(last.ln_2(z))
    feature = functional.normalize((visual.ln_post(z) @ visual.proj)[:, 0], dim=-1)
    score = (feature * text).sum()
    (gradient,) = torch.autograd.grad(score, output)
    with torch.no_grad():
        q_out, k_out = last.attn.out_proj(q), last.attn.out_proj(k)
        cosine = functional.cosine_similarity(q_out[:, :1], k_out[:, 1:], dim=-1)
        weight = (cosine - cosine.min()) / (cosine.max() - cosine.min())
        relevance = (gradient[:, :1] * v[:, 1:] * weight[..., None]).sum(-1).relu()
    return relevance.reshape(1, *visual.grid_size)


def one_by_one(model, images, tokens):
    """The released way for all pairs; to its favor, all texts are encoded in one batch."""
    with torch.no_grad():
        texts = model.encode_text(tokens, normalize=True)
    maps = [released(model, images[i : i + 1], texts[i]) for i in range(len(images))]
    return torch.cat(maps)


def batched(model, images, tokens):
    """The way of this package for all pairs."""
    return grad_eclip(model, images, tokens).maps


def seconds(way, model, images, tokens):
    """Wall time of one run."""
    start = time.perf_counter()
    way(model, images, tokens)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("pictures", 8), ("texts", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    model, what = load(given.device)
    torch.manual_seed(1)
    side, pairs = model.visual.image_size[0], given.pictures * given.texts
    images = torch.randn(given.pictures, 3, side, side).repeat_interleave(given.texts, 0)
    tokens = torch.randint(1, 49000, (pairs, model.context_length))
    tokens[:, -1] = 49407
    images, tokens = images.to(given.device), tokens.to(given.device)

    slow, fast = one_by_one(model, images, tokens), batched(model, images, tokens)
    difference = float(((slow - fast).abs().amax((1, 2)) / slow.amax((1, 2))).max())
    times = {way: [] for way in (one_by_one, batched)}
    for _ in range(given.rounds):
        for way, taken in times.items():
            taken.append(seconds(way, model, images, tokens))
    rate = {way: pairs / statistics.median(taken) for way, taken in times.items()}
    ratio = rate[batched] / rate[one_by_one]
    print(
        f"{what}, {given.pictures} pictures of {given.texts} texts, {given.rounds} rounds, ", end=""
    )
    print(f"{given.device}, {torch.get_num_threads()} threads")
    print(f"released way  {rate[one_by_one]:10.1f} maps/s")
    print(f"batched       {rate[batched]:10.1f} maps/s")
    print(f"ratio         {ratio:10.1f}   (needed: {NEEDED})")
    print(f"largest difference of the maps {difference:.1e} of their range")
    return 0 if ratio >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
