"""Maps with many ties, masks, and a score that is linear in the pixels."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=[torch.float32, torch.float64], ids=["f32", "f64"])
def dtype(request):
    return request.param


@pytest.fixture
def tied_maps(dtype):
    g = torch.Generator().manual_seed(1)
    return (torch.rand(6, 8, 9, generator=g, dtype=dtype) * 6).round() - 2


@pytest.fixture
def masks():
    m = torch.zeros(6, 8, 9, dtype=torch.bool)
    for i in range(6):
        m[i, 1 + i // 2 : 4 + i // 2, i // 3 : 3 + i] = True
    return m


class LinearScore:
    """Counts its calls and pictures; the score is the same linear function for every pair."""

    def __init__(self, dtype=torch.float32, size=24):
        g = torch.Generator().manual_seed(2)
        self.weight = torch.randn(3, size, size, generator=g, dtype=dtype)
        self.pictures = 0
        self.largest = 0

    def __call__(self, images, pair):
        assert len(images) == len(pair)
        self.pictures += len(images)
        self.largest = max(self.largest, len(images))
        return (images * self.weight).mean((1, 2, 3))


@pytest.fixture
def score(dtype):
    return LinearScore(dtype)


@pytest.fixture
def images(dtype):
    return torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(3), dtype=dtype)


@pytest.fixture
def maps(dtype):
    return torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(4), dtype=dtype)


@pytest.fixture
def seeded():
    return lambda seed=0: torch.Generator().manual_seed(seed)
