"""A small random CLIP with biases that matter, and pairs for it."""

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP

CONTEXT, EOS = 16, 99


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny tensors spend their time waiting for threads, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def build_clip():
    """Makes a random CLIP: 3 image blocks of 4 heads, patches of 8 pixels."""

    def build(size=32, seed=0, dtype=torch.float64, cls=CLIP, layer_scale=None):
        torch.manual_seed(seed)
        vision = {"image_size": size, "patch_size": 8, "width": 32, "head_width": 8, "layers": 3}
        vision |= {"ls_init_value": layer_scale, "pool_type": "tok"}
        text = {"context_length": CONTEXT, "vocab_size": 100, "width": 32, "heads": 4, "layers": 2}
        model = cls(16, vision, text).eval().to(dtype)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return model

    return build


@pytest.fixture(scope="session")
def build_pairs():
    """Makes pictures and texts; ``share`` pairs show the same picture."""

    def build(pairs=6, size=(32, 32), seed=0, dtype=torch.float64, share=1):
        generator = torch.Generator().manual_seed(seed)
        pictures = torch.randn(-(-pairs // share), 3, *size, generator=generator)
        images = pictures.to(dtype).repeat_interleave(share, 0)[:pairs]
        tokens = torch.randint(1, 98, (pairs, CONTEXT), generator=generator)
        for row, end in enumerate(torch.randint(3, CONTEXT, (pairs,), generator=generator)):
            tokens[row, end] = EOS
            tokens[row, end + 1 :] = 0
        return images, tokens

    return build


@pytest.fixture(scope="session")
def clip(build_clip):
    return build_clip()


@pytest.fixture(scope="session")
def wide_clip(build_clip):
    """Its patch grid is no square: 3 by 5, and its text tower a module of its own."""
    return build_clip(size=(24, 40), seed=1, cls=CustomTextCLIP, layer_scale=0.7)


@pytest.fixture(scope="session")
def pairs(build_pairs):
    return build_pairs()
