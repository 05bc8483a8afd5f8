import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from audit.interventions import probing
from audit.models.anatomy import anatomy_of


def on_fake_cuda(model):
    """Replace every tensor of a model by a fake one on a GPU; call under a fake tensor mode."""
    for module in model.modules():
        for name, parameter in module._parameters.items():  # noqa: SLF001 - torch's own
            if parameter is not None:
                fake = torch.empty(parameter.shape, device="cuda")
                module._parameters[name] = torch.nn.Parameter(fake)  # noqa: SLF001 - torch's own
        for name, buffer in module._buffers.items():  # noqa: SLF001 - torch's own
            module._buffers[name] = torch.empty(buffer.shape, device="cuda")  # noqa: SLF001 - torch's own
    return model


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_probes_stay_on_the_device_of_the_pictures(joint_clip, fill):
    """Without a GPU: fake tensors refuse to meet a tensor of another device, as CUDA would."""
    with FakeTensorMode():
        anatomy = anatomy_of(on_fake_cuda(joint_clip))
        images = torch.empty(3, 3, 32, 32, device="cuda")
        features, grid = anatomy.image_features, anatomy.image.grid
        texts, picture = torch.empty(4, 24, device="cuda"), torch.zeros(4, device="cuda").long()
        for probed in (
            probing.occlude(features, grid, images, side=2, fill=fill, batch=5),
            probing.knock_out(anatomy, images, side=2, batch=5),
            probing.patch_activations(anatomy, images, neutral=fill, batch=5),
        ):
            effects = probed.effects(texts, picture)
            assert effects.device.type == "cuda"
            assert effects.shape == (4, 4, 4)


def test_a_tensor_on_the_wrong_device_is_caught(joint_clip):
    with FakeTensorMode():
        anatomy = anatomy_of(on_fake_cuda(joint_clip))
        images = torch.empty(1, 3, 32, 32, device="cuda")
        probed = probing.occlude(anatomy.image_features, anatomy.image.grid, images)
        with pytest.raises(RuntimeError, match="device"):
            probed.effects(torch.empty(1, 24), torch.zeros(1).long())
