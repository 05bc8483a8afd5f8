import hashlib

import open_clip
import pytest
import torch

VISION = {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}
TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 4, "layers": 2}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Tensors this small are slower on many threads, by far where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build_clip(kind):
    """A tiny CLIP in float64 whose biases and norms are as far from trivial as trained ones."""
    cls = open_clip.CustomTextCLIP if kind == "custom" else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = cls(24, VISION, TEXT).double().eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
            elif "token_embedding" in name or "positional" in name:
                parameter.data.mul_(20)
    return model


@pytest.fixture(params=["joint", "custom"])
def clip(request):
    return build_clip(request.param)


@pytest.fixture
def joint_clip():
    return build_clip("joint")


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(3, 3, 32, 32, generator=generator, dtype=torch.float64)
    tokens = torch.randint(1, 90, (3, 16), generator=generator)
    tokens[torch.arange(3), torch.tensor([5, 9, 15])] = 99
    return images, tokens


@pytest.fixture
def state_hash():
    def digest(model):
        parts = [
            name.encode() + tensor.detach().numpy().tobytes()
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]
        ]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    return digest


@pytest.fixture
def differing():
    """Names of the tensors that differ in value, and of those with storage of their own."""

    def compare(model, other):
        pairs = zip(model.named_parameters(), other.named_parameters(), strict=True)
        values, storages = set(), set()
        for (name, a), (_, b) in pairs:
            if not torch.equal(a, b):
                values.add(name)
            if a.data_ptr() != b.data_ptr():
                storages.add(name)
        return values, storages

    return compare
