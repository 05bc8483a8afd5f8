"""Rates of the metrics against the model's bare forward rate, side by side in one run.

    python tests/benchmarks/metrics.py [--model bundled] [--pairs 16] [--batch N] [--rounds 3]
        [--device cpu] [--clock wall|cpu]

The batch is the one at which the bare forward is fastest, for every way. Every way takes its turn
in each round; the median over rounds of its rate over the bare forward rate of the same round
counts. Measures of faithfulness are counted in perturbed pictures scored a
second, the bare forward in pictures a second at the same batch size and precision; measures of
localization in maps a second. Quantus and captum are timed on the same maps where they are
installed, and their values compared where the definitions agree. On a machine that others use too,
`--clock cpu` counts the time of the processors instead of that of the wall.

Measured with `--threads 1` on a quiet machine, against Quantus 0.6 and captum 0.9, as shares of the
bare forward rate. Bundled model, batch 16, 356 pictures a second: measures other than ROAD 0.96 to
0.99, Quantus 0.96 and 0.93 (region perturbation, pixel flipping), captum's infidelity 0.95. ROAD
0.72: the model is so small (2.8 ms a picture) that imputation counts (0.77 to 0.89 ms, 16, 18 and
14 times as fast as Quantus's in MoRF, LeRF and random order, and within 0.012 of it at the worst
pixel, where the noise has a standard deviation of 0.01). Doing less makes up for it: adaptive
curves give the areas of the curve of every count at 2.28 times the bare forward rate under ROAD's
fill and at 3.63 times under the mean, with errors of 0.0022 and 0.0025.

`--model ViT-B-16 --pairs 2 --batch 8 --rounds 2`, 3.3 pictures a second: measures other than ROAD
0.97 to 1.02, ROAD 0.96, Quantus 0.87 and 0.91, captum 0.98; adaptive curves at 7.2 (ROAD) and 8.2
times the bare forward rate; imputation 31, 32 and 31 times as fast as Quantus's, within 0.018 of
it.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch

from audit.data.bundled_scenes import bundled_pairs
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.metrics import infidelity, localization, overlap, similarity
from audit.metrics.adaptive import adaptive_curves
from audit.metrics.faithfulness import removal_curves
from audit.metrics.imputation import NoisyLinear, impute
from audit.metrics.perturbation import enlarge, perturbation_curves, removal_ranks
from audit.metrics.protocols import road
from audit.models.loading import load_model

TENTHS = [k / 10 for k in range(11)]
ADAPTIVE = {"adaptive MoRF and LeRF": "mean", "adaptive ROAD": NoisyLinear()}


class Scores(torch.nn.Module):
    """The cosine of a picture's feature and its pair's text, as a score and as a classifier."""

    def __init__(self, visual, texts):
        super().__init__()
        self.visual = visual
        self.register_buffer("texts", texts)
        self.pictures = 0

    def score(self, images, pair):
        self.pictures += len(images)
        return (torch.nn.functional.normalize(self.visual(images), dim=-1) * self.texts[pair]).sum(
            -1
        )

    def forward(self, images):
        self.pictures += len(images)
        with torch.no_grad():
            return torch.nn.functional.normalize(self.visual(images), dim=-1) @ self.texts.T


def load(name, device, count):
    """A model, pictures of the bundled scenes, and their maps by gradient times attention."""
    pretrained = None if name == "bundled" else "random"
    model = load_model(name, pretrained, device=device)
    pairs = bundled_pairs(model, count, seed=0)
    images, tokens = pairs.batch(torch.arange(count), model.device, model.dtype)
    maps = run_explainer(load_explainer("grad-attention"), model.module, images, tokens).maps
    with torch.no_grad():
        texts = model.target_features(tokens)
    return Scores(model.module.visual, texts).eval(), images, maps.detach()


def seeded():
    return torch.Generator().manual_seed(0)


def every_count(maps):
    """The fractions at which every patch of the maps is removed one after another."""
    patches = maps[0].numel()
    return [k / patches for k in range(patches + 1)]


def patch_side(images, maps):
    return images.shape[-1] // maps.shape[-1]


def in_pixels(images, maps):
    side = patch_side(images, maps)
    return maps.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, None]


def repeated(images, batch):
    """A batch of pictures, and the pair of each."""
    pairs = torch.arange(batch, device=images.device) % len(images)
    return images[pairs], pairs


@torch.no_grad()
def best_batch(model, images, clock, candidates=(4, 8, 16, 32, 64, 128)):
    """The batch at which the bare forward is fastest, by the median of five tries of each."""
    seconds = {batch: [] for batch in candidates}
    for _ in range(6):
        for batch, found in seconds.items():
            given = repeated(images, batch)
            start = clock()
            for _ in range(128 // batch):
                model.score(*given)
            if images.is_cuda:
                torch.cuda.synchronize()
            found.append(clock() - start)
    return min(candidates, key=lambda batch: statistics.median(seconds[batch][1:]))


def faithfulness_ways(model, images, maps, batch):
    common = {"batch_size": batch}
    score, grid = model.score, tuple(maps.shape[1:])

    full, pairs = repeated(images, batch)

    @torch.no_grad()
    def forward():
        for _ in range(8):
            score(full, pairs)

    def curve(fill):
        return lambda: removal_curves(
            score, images, maps, fill=fill, fractions=TENTHS, generator=seeded(), **common
        )

    yield "bare forward", forward
    for fill in ("mean", "blur", "noise"):
        yield f"MoRF and LeRF, {fill}", curve(fill)
    yield (
        "deletion, every patch",
        lambda: perturbation_curves(
            score,
            images,
            maps,
            order="morf",
            fill="dataset-mean",
            fractions=every_count(maps),
            generator=seeded(),
            **common,
        ),
    )
    yield "ROAD", lambda: road(score, images, maps, generator=seeded(), **common)
    yield (
        "subset drops",
        lambda: infidelity.subset_drops(score, images, grid, generator=seeded(), **common),
    )
    for name, fill in ADAPTIVE.items():
        yield (
            name,
            lambda fill=fill: adaptive_curves(
                score, images, maps, fill=fill, generator=seeded(), **common
            ),
        )


def quantus_ways(model, images, maps, batch):
    try:
        import quantus
    except ImportError:
        print("quantus is not installed: left out")
        return
    x = images.numpy()
    pixels = in_pixels(images, maps).numpy()
    side, patches = patch_side(images, maps), maps[0].numel()
    y = np.arange(len(x))
    common = {"normalise": False, "disable_warnings": True}
    region = quantus.RegionPerturbation(
        patch_size=side, regions_evaluation=patches, perturb_baseline=0.0, **common
    )
    flipping = quantus.PixelFlipping(features_in_step=4 * side**2, perturb_baseline=0.0, **common)
    call = {"model": model, "y_batch": y, "softmax": False, "batch_size": min(batch, len(x))}
    yield "quantus region perturbation", lambda: region(x_batch=x, a_batch=pixels, **call)
    yield "quantus pixel flipping", lambda: flipping(x_batch=x, a_batch=pixels, **call)


def captum_ways(model, images, maps, batch):
    try:
        from captum.metrics import infidelity as captum_infidelity
    except ImportError:
        print("captum is not installed: left out")
        return
    size, grid = images.shape[-2:], maps.shape[1:]
    pixels = in_pixels(images, maps).expand_as(images) / (3 * patch_side(images, maps) ** 2)

    def perturb(inputs):
        g = torch.Generator().manual_seed(0)
        gone = enlarge(torch.rand(len(inputs), *grid, generator=g) < 0.3, size)[:, None]
        return gone.expand_as(inputs).to(inputs.dtype), inputs * ~gone

    def forward(inputs, pair):
        with torch.no_grad():
            return model.score(inputs, pair)

    yield (
        "captum infidelity",
        lambda: captum_infidelity(
            forward,
            perturb,
            images,
            pixels,
            additional_forward_args=torch.arange(len(images)),
            n_perturb_samples=50,
            max_examples_per_batch=max(batch, len(images)),
            normalize=True,
        ),
    )


def quantus_road(images, maps, clock):
    """Seconds per imputed picture of Quantus's imputation and ours, 10 to 90 % of patches gone.

    The patches go in the order of the maps, ties at random; both go over the same pictures, ours
    three times, of which the median counts.
    """
    from quantus.functions.perturb_func import noisy_linear_imputation

    ranks = removal_ranks(maps, "morf", torch.rand(maps.flatten(1).shape, generator=seeded()))
    side, patches = patch_side(images, maps), maps[0].numel()
    gone = torch.cat([enlarge(ranks < k * patches / 10, images.shape[-2:]) for k in range(1, 10)])
    images = images.repeat(9, 1, 1, 1)
    indices = [np.flatnonzero(g.numpy()) for g in gone]
    start = clock()
    theirs = [
        noisy_linear_imputation(x.numpy(), i, noise=0.0)
        for x, i in zip(images, indices, strict=True)
    ]
    slow = clock() - start
    fast = []
    for _ in range(3):
        start = clock()
        ours = impute(images, gone, block=side)
        fast.append(clock() - start)
    error = np.abs(ours.numpy() - np.stack(theirs)).max()
    return slow / len(images), statistics.median(fast) / len(images), error


def adaptive_error(model, images, maps, batch, fill):
    """What adaptive sampling loses against every count, and what it saves."""
    common = {"fill": fill, "batch_size": batch}
    full = removal_curves(
        model.score, images, maps, fractions=every_count(maps), generator=seeded(), **common
    )
    few = adaptive_curves(model.score, images, maps, generator=seeded(), **common)
    error = max(
        float((getattr(few.curves, name) - getattr(full, name)).abs().max())
        for name in ("deletion", "insertion")
    )
    passes, every = few.passes.double(), 2 * maps[0].numel()
    return (
        f"largest error of an area {error:.4f} (bound 0.005), {passes.mean():.0f} passes a pair "
        f"(at most {passes.max():.0f}) for {every}, {every / passes.mean():.1f} times fewer"
    )


def localization_ways():
    g = torch.Generator().manual_seed(1)
    maps, masks = torch.rand(500, 12, 12, generator=g), torch.zeros(500, 12, 12)
    masks[:, 3:7, 2:9] = 1
    measures = [
        localization.average_precision,
        localization.energy_gain,
        localization.pointing_game,
        localization.relevance_rank_accuracy,
        overlap.weighted_f_measure,
        similarity.spearman,
        similarity.top_overlap,
    ]
    for measure in measures:
        yield measure.__name__, lambda m=measure: m(maps, masks), 500
    yield "mask_iou, otsu", lambda: overlap.mask_iou(maps, masks, "otsu"), 500
    yield "pointing_game, 1.5 patches", lambda: localization.pointing_game(maps, masks, 1.5), 500
    try:
        import quantus
    except ImportError:
        return
    few = {
        "a_batch": maps[:, None].numpy(),
        "s_batch": masks[:, None].numpy(),
        "x_batch": np.zeros((500, 3, 12, 12), dtype=np.float32),
        "y_batch": np.zeros(500, dtype=int),
        "model": None,
        "channel_first": True,
        "batch_size": 500,
    }
    for name in ("RelevanceRankAccuracy", "RelevanceMassAccuracy", "PointingGame"):
        metric = getattr(quantus, name)(abs=False, normalise=False, disable_warnings=True)
        yield f"quantus {name}", lambda m=metric: m(**few), 500


def print_rates(ways, model, options, clock, every):
    """Time every way in each round, and print its rate beside that of the bare forward.

    The first round does not count. ``every`` pictures would give the curves of every count, most of
    which adaptive ones do without.
    """
    rates = {way: [] for way, _ in ways}
    passes = {}
    for _ in range(options.rounds + 1):
        for way, run in ways:
            model.pictures = 0
            start = clock()
            run()
            if options.device != "cpu":
                torch.cuda.synchronize()
            rates[way].append(model.pictures / (clock() - start))
            passes[way] = model.pictures
    forward = rates["bare forward"][1:]
    for way, found in rates.items():
        share = statistics.median(a / b for a, b in zip(found[1:], forward, strict=True))
        rate = statistics.median(found[1:])
        line = f"{way:32} {rate:9.1f} pictures/s  {share:6.2f} of forward  {passes[way]:6} passes"
        if way in ADAPTIVE:
            line += f", {share * every / passes[way]:.2f} in values of the curve of every count"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="bundled", help="others have random weights")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    model, images, maps = load(options.model, options.device, options.pairs)
    batch = options.batch or best_batch(model, images, clock)
    print(f"{options.model}, {options.pairs} pairs, batch {batch}, {options.threads} threads")
    ways = list(faithfulness_ways(model, images, maps, batch))
    if options.device == "cpu":
        ways += list(quantus_ways(model, images, maps, batch))
        ways += list(captum_ways(model, images, maps, batch))
    print_rates(ways, model, options, clock, every=2 * maps.numel())
    if options.device == "cpu" and any("quantus" in way for way, _ in ways):
        scattered = torch.rand(maps.shape, generator=seeded())
        orders = {"MoRF": maps, "LeRF": -maps, "random": scattered}
        for order, ranked in orders.items():
            theirs, ours, error = quantus_road(images, ranked, clock)
            print(
                f"ROAD imputation, {order} order: quantus {theirs * 1e3:.1f} ms, here "
                f"{ours * 1e3:.2f} ms a picture, {theirs / ours:.0f} times as fast, largest "
                f"difference {error:.1e}"
            )
    for way, fill in ADAPTIVE.items():
        print(f"{way}: {adaptive_error(model, images, maps, batch, fill)}")
    for way, run, n in localization_ways():
        seconds = []
        for _ in range(options.rounds + 1):
            start = clock()
            run()
            seconds.append(clock() - start)
        print(f"{way:32} {n / statistics.median(seconds[1:]):9.0f} maps/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
