"""Grid pointing agrees with Quantus' Focus on the same mosaics."""

import numpy as np
import pytest
import torch

from audit.data.grid_layout import cell_mask
from audit.metrics.localization import grid_pointing
from tests.oracles import oracle

POSITIONS = [(1, 1, 0, 0), (0, 0, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 0, 0)]


def cells(positions, side):
    """Where the cells of a class are on a mosaic of 2 × 2."""
    own = [np.asarray(cell_mask(c, 2, side)) > 0 for c, here in enumerate(positions) if here]
    return torch.from_numpy(np.any(own, axis=0))


@pytest.mark.filterwarnings("ignore")  # of the oracle's imports
def test_it_is_focus_on_mosaics():
    quantus = oracle("quantus")
    maps = torch.randn(6, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric = quantus.Focus(normalise=False, disable_warnings=True, return_aggregate=False)
    wanted = metric(
        model=torch.nn.Identity(),
        x_batch=np.zeros((6, 3, 16, 16)),
        y_batch=np.zeros(6, dtype=int),
        a_batch=maps[:, None].numpy(),
        custom_batch=POSITIONS,
    )
    found = grid_pointing(maps, torch.stack([cells(p, 8) for p in POSITIONS]))
    assert found.tolist() == pytest.approx(list(wanted), abs=1e-10)  # it adds 1e-9 to sums
    assert np.ptp(wanted) > 0.05


def test_a_constant_map_scores_the_share_of_the_cell():
    masks = torch.stack([cells((0, 0, 1, 0), 8), cells((1, 0, 0, 1), 8)])
    assert grid_pointing(torch.ones(2, 16, 16), masks).tolist() == [0.25, 0.5]
