"""The measures without masks, by family: each family is measured at once, by the same passes.

Names are those of `audit.metrics.quality_table`. Every family draws from a generator of its own
with the same seed, for each explainer anew, so that explainers meet the same ties, sets and noise,
and nothing depends on what else was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.adaptive import adaptive_curves
from audit.metrics.adversarial import adversarial_counterpart
from audit.metrics.arcc import arcc
from audit.metrics.complexity import sparseness
from audit.metrics.faithfulness import Curves, insertion_minus_deletion, removal_curves
from audit.metrics.fills import Counterpart
from audit.metrics.infidelity import (
    SubsetDrops,
    faithfulness_correlation,
    infidelity,
    subset_drops,
)
from audit.metrics.perturbation import AnyFill, Score
from audit.metrics.protocols import Protocol, grad_eclip, rise, road, run_protocol
from audit.metrics.rationale import BINS, rationale, rationale_fractions
from audit.metrics.sensitivity import Explain, max_sensitivity

Values = dict[str, Float[Tensor, " n"]]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Probe:
    """Pictures, and what may be asked of the model about altered ones.

    Attributes:
        score: the model's own score of the pair; differentiable.
        probability: softmax probability of the pair's class among all classes, in [0, 1].
        right: 1 where the class scores above every one that the picture does not show, else 0.
        images: preprocessed pictures of the pairs.
        grid: rows and columns of the maps.
        mean: what preprocessing subtracts from pixels in [0, 1], per channel.
        std: what it divides them by.
        seed: of every generator.
        batch_size: pictures per call of a score.
    """

    score: Score
    probability: Score
    right: Score
    images: Float[Tensor, "n 3 H W"]
    grid: tuple[int, int]
    mean: Color
    std: Color
    seed: int
    batch_size: int

    def generator(self) -> torch.Generator:
        """A fresh one of the seed."""
        return torch.Generator(device="cpu").manual_seed(self.seed)

    @cached_property
    def drops(self) -> SubsetDrops:
        """What random sets of patches do to the score; the same for all maps."""
        return subset_drops(
            self.score,
            self.images,
            self.grid,
            generator=self.generator(),
            batch_size=self.batch_size,
        )

    @cached_property
    def counterpart(self) -> Counterpart:
        """Adversarial pictures within 8/255 of these; the same for all maps."""
        reach = (8 / 255 / self.images.new_tensor(self.std))[:, None, None]
        found = adversarial_counterpart(self.score, self.images, reach, batch_size=self.batch_size)
        return Counterpart(found)

    def curves(
        self, maps: Float[Tensor, "n h w"], fractions: list[float], fill: AnyFill = "mean"
    ) -> Curves:
        """Both orders of removal by the model's own score."""
        return removal_curves(
            self.score,
            self.images,
            maps,
            fill=fill,
            fractions=fractions,
            generator=self.generator(),
            batch_size=self.batch_size,
        )


Family = Callable[[Probe, Float[Tensor, "n h w"], Explain], Values]
"""A probe, maps of its pictures, and the explainer, to a number per pair and measure."""


def _removal(probe: Probe, maps: Tensor, _: Explain) -> Values:
    patches = maps[0].numel()
    tenths = [k / 10 for k in range(11)]
    found = probe.curves(maps, sorted({*tenths, *rationale_fractions(BINS, patches)}))
    top = rationale(found, patches)
    return {
        "morf": found.full - found.deletion,
        "lerf": found.full - found.insertion,
        "area-between": found.gap,
        "sufficiency": top.sufficiency,
        "comprehensiveness": top.comprehensiveness,
    }


def _every_count(probe: Probe, maps: Tensor, _: Explain) -> Values:
    found = adaptive_curves(
        probe.score,
        probe.images,
        maps,
        generator=probe.generator(),
        batch_size=probe.batch_size,
    ).curves
    return {"area-between-all": insertion_minus_deletion(found.insertion, found.deletion)}


def _rise(probe: Probe, maps: Tensor, _: Explain) -> Values:
    return _by_protocol(probe, maps, rise(), probe.probability, "rise")


def _grad_eclip(probe: Probe, maps: Tensor, _: Explain) -> Values:
    protocol = grad_eclip(probe.mean, probe.std)
    return _by_protocol(probe, maps, protocol, probe.right, "grad-eclip")


def _by_protocol(probe: Probe, maps: Tensor, protocol: Protocol, score: Score, name: str) -> Values:
    found = run_protocol(
        protocol,
        score,
        probe.images,
        maps,
        generator=probe.generator(),
        batch_size=probe.batch_size,
    )
    return {f"{name}-deletion": found.deletion, f"{name}-insertion": found.insertion}


def _road(probe: Probe, maps: Tensor, _: Explain) -> Values:
    found = road(
        probe.right,
        probe.images,
        maps,
        generator=probe.generator(),
        batch_size=probe.batch_size,
    )
    inner = slice(1, -1)  # without the untouched and the empty picture, which are no fractions
    return {
        "road-morf": found.morf[:, inner].mean(-1),
        "road-lerf": found.lerf[:, inner].mean(-1),
    }


def _subsets(probe: Probe, maps: Tensor, _: Explain) -> Values:
    return {
        "infidelity": infidelity(maps, probe.drops).share,
        "faithfulness-correlation": faithfulness_correlation(maps, probe.drops),
    }


def _aim(probe: Probe, maps: Tensor, _: Explain) -> Values:
    found = probe.curves(maps, [k / 10 for k in range(11)], probe.counterpart)
    return {"aim-morf": found.full - found.deletion, "aim-between": found.gap}


def _arcc(probe: Probe, maps: Tensor, explain: Explain) -> Values:
    found = arcc(
        probe.probability,
        explain,
        probe.images,
        maps,
        generator=probe.generator(),
        batch_size=probe.batch_size,
    )
    return {"arcc": found}


def _sensitivity(probe: Probe, maps: Tensor, explain: Explain) -> Values:
    found = max_sensitivity(explain, probe.images, maps, generator=probe.generator())
    return {"max-sensitivity": found}


def _sparseness(_: Probe, maps: Tensor, __: Explain) -> Values:
    return {"sparseness": sparseness(maps)}


FAMILIES: Mapping[str, Family] = {
    "removal": _removal,
    "every-count": _every_count,
    "rise": _rise,
    "grad-eclip": _grad_eclip,
    "road": _road,
    "subsets": _subsets,
    "aim": _aim,
    "arcc": _arcc,
    "sensitivity": _sensitivity,
    "sparseness": _sparseness,
}
