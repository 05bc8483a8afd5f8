from __future__ import annotations

import torch

from audit.metrics.sensitivity import max_sensitivity
from tests.oracles import oracle


def explain(images):
    """A map that is not linear in the picture."""
    return images.pow(3).mean(1).unflatten(1, (6, 4)).unflatten(3, (6, 4)).mean((2, 4))


def test_captum_agrees_on_the_same_moves(images, seeded):
    captum = oracle("captum.metrics")
    drawn = []

    def recorded(pictures):
        drawn.append(pictures.clone())
        return explain(pictures)

    found = max_sensitivity(recorded, images, explain(images), samples=7, generator=seeded())
    assert len(drawn) == 7
    assert max(float((one - images).abs().max()) for one in drawn) <= 0.02
    moved = iter(torch.stack(drawn, 1).flatten(0, 1)[:, None])

    def again(inputs):
        return torch.cat([next(moved) for _ in range(len(inputs))])

    wanted = captum.sensitivity_max(
        lambda x: (explain(x[0] if isinstance(x, tuple) else x),),
        images,
        perturb_func=again,
        n_perturb_samples=7,
    )
    torch.testing.assert_close(found, wanted.to(found), rtol=1e-4, atol=1e-6)


def test_a_map_that_never_moves_has_none_and_one_that_appears_has_no_end(images, maps, seeded):
    still = max_sensitivity(lambda _: maps, images, maps, generator=seeded())
    assert torch.equal(still, torch.zeros(4, dtype=maps.dtype))
    zero = torch.zeros_like(maps)
    assert max_sensitivity(lambda _: maps, images, zero, generator=seeded()).isinf().all()


def test_the_seed_decides_the_moves(images, maps, seeded):
    one, two, other = (
        max_sensitivity(explain, images, maps, generator=seeded(s)) for s in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
