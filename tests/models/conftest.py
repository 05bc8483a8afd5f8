import open_clip
import pytest
import torch
from safetensors.torch import save_file

from audit.models.loading import load_model


@pytest.fixture
def tiny(tiny_model):
    return load_model(tiny_model)


@pytest.fixture
def other_state(tiny):
    """Other weights of the tiny model's architecture."""
    generator = torch.Generator().manual_seed(4)
    return {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in tiny.module.state_dict().items()
    }


@pytest.fixture
def saved(tmp_path):
    def save(state, name="other.safetensors"):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file({n: t.contiguous() for n, t in state.items()}, path)
        else:
            torch.save(state, path)
        return str(path)

    return save


@pytest.fixture
def wider_state():
    vision = {"image_size": 24, "patch_size": 6, "layers": 3, "width": 48, "head_width": 8}
    text = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    with torch.random.fork_rng(devices=[]):
        return open_clip.CLIP(16, vision, text).state_dict()
