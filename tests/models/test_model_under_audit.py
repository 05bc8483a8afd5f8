"""What every part of the audit may ask of a model, of open_clip and of another library."""

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image

from audit.models.anatomy import UnknownAnatomyError, anatomy_of
from audit.models.pristine import pristine_copy
from tests.class_head import model_with_class_head


def test_the_score_is_the_product_of_the_features(tiny):
    images = torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    targets = tiny.encode(["a red square", "a blue circle", "a cat"])
    with torch.no_grad():
        image, text, scale = tiny.module(images, targets)
        features, target_features = tiny.features(images), tiny.target_features(targets)
        score = tiny.score(images, targets)
    assert torch.equal(features, image)
    assert torch.equal(target_features, text)
    assert torch.equal(score, (image * text).sum(-1))
    assert tiny.logit_scale == float(scale)
    assert tiny.logit_bias == 0


def test_sizes_and_anatomy_are_those_of_the_module(tiny):
    assert tiny.image_size == 24
    assert tiny.patch_grid == (4, 4)
    assert tiny.anatomy == tiny.require_anatomy()
    assert tiny.anatomy.model is tiny.module


def test_an_altered_copy_is_called_as_the_model_is(tiny, other_state):
    images = torch.ones(1, 3, 24, 24)
    module = pristine_copy(tiny.module)
    module.load_state_dict(other_state)
    with torch.no_grad():
        features = tiny.with_module(module).features(images)
        assert torch.equal(features, module.encode_image(images, normalize=True))
        assert not torch.equal(features, tiny.features(images))


def test_colors_come_back(tiny):
    picture = Image.new("RGB", (24, 24), (255, 0, 51))
    back = tiny.restore_colors(tiny.preprocess(picture))
    assert torch.allclose(back[:, 5, 5], torch.tensor([1.0, 0.0, 0.2]), atol=1e-6)


def test_a_class_head_keeps_the_contract():
    model = model_with_class_head()
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    targets = model.encode(["cat", "dog", "cat", "bird", "dog"])
    assert targets.tolist() == [0, 1, 0, 2, 1]
    with torch.no_grad():
        logits = model.module(images)[torch.arange(5), targets]
        assert torch.allclose(model.score(images, targets), logits, atol=1e-6)


def test_a_model_without_known_inside_has_no_anatomy():
    model = model_with_class_head()
    assert model.anatomy is None
    with pytest.raises(UnknownAnatomyError, match="class head"):
        model.require_anatomy()


@pytest.mark.parametrize("kind", [CLIP, CustomTextCLIP])
def test_texts_may_be_pooled_at_an_end_that_is_not_the_largest_id(kind):
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 1}
    text = {"context_length": 6, "vocab_size": 20, "width": 16, "heads": 2, "layers": 2}
    model = kind(8, vision, text | {"pool_type": "eos", "eos_id": 1}).eval()
    tower = anatomy_of(model).text
    tokens = torch.tensor([[5, 19, 3, 1, 0, 0], [9, 1, 1, 0, 0, 0]])
    assert tower.pooled_index(tokens).tolist() == [3, 1]
    with torch.no_grad():
        own = model.encode_text(tokens, normalize=False)
        assert torch.allclose(tower.features(tokens), own, atol=1e-6)
