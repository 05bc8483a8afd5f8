"""Cost and memory of the measures of faithfulness as the number of pairs grows.

    python tests/benchmarks/scaling.py [--most 128]

Each number of pairs runs in a process of its own, so that peaks of memory do not mix. Exits with 1
where the processor time a pair differs by more than a half between the numbers, or where a further
pair adds more than three times the size of its picture to the peak: the picture itself, the noise
of ROAD's fill, which has its size, and one more for the allocator. Measured up to 256 pairs of the
bundled model on one thread: 0.17 to 0.20 s of processor a pair, 0.06 to 0.14 MiB. Before each
batch's scores were written into one tensor, small tensors between the large ones that were freed
let the heap grow by 0.75 MiB a pair.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

FRACTIONS = [k / 10 for k in range(11)]
BATCH = 32


def one(count):
    """Processor seconds and peak MiB of both orders of removal, plain and by ROAD."""
    from audit.data.bundled_scenes import bundled_pairs
    from audit.metrics.faithfulness import removal_curves
    from audit.metrics.imputation import NoisyLinear
    from audit.models.loading import load_model

    torch.set_num_threads(1)
    model = load_model()
    images = bundled_pairs(model, 16, seed=0).images[:8].repeat(count // 8, 1, 1, 1)
    maps = torch.rand(count, 12, 12, generator=torch.Generator().manual_seed(0))
    common = {"fractions": FRACTIONS, "batch_size": BATCH}
    start = time.process_time()
    for fill in ("mean", NoisyLinear()):
        generator = torch.Generator().manual_seed(0)
        removal_curves(
            lambda x, _: model.features(x)[:, 0],
            images,
            maps,
            fill=fill,
            generator=generator,
            **common,
        )
    seconds = time.process_time() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=128)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count:
        one(given.count)
        return 0
    counts = [given.most // 4, given.most // 2, given.most]
    costs, peaks = [], []
    for count in counts:
        words = [sys.executable, __file__, "--count", str(count)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        seconds, peak = (float(word) for word in done.stdout.split())
        costs.append(seconds / count)
        peaks.append(peak)
        print(f"{count:4} pairs: {costs[-1]:.3f} s of processor a pair, peak {peak:.0f} MiB")
    growth = (peaks[-1] - peaks[0]) / (counts[-1] - counts[0])
    picture = 3 * 72 * 72 * 4 / 2**20
    print(f"a further pair adds {growth:.3f} MiB, its picture has {picture:.3f} MiB")
    return 0 if max(costs) < 1.5 * min(costs) and growth < 3 * picture else 1


if __name__ == "__main__":
    sys.exit(main())
