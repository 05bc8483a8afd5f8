"""Small models run on one thread, and the setting is put back."""

import torch

from audit.engine.thread_count import suited_threads
from audit.models.loading import load_model


def test_one_thread_for_the_bundled_model_and_the_setting_is_put_back():
    torch.set_num_threads(2)
    try:
        with suited_threads(load_model()):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
