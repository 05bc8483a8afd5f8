"""Shared by all tests: one torch thread per worker, since the suite runs in parallel."""

import torch

torch.set_num_threads(1)
