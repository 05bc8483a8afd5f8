"""A plain module as the model under audit."""

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

from audit.models.errors import ModelError
from audit.models.given_module import GivenModel, class_names_of, given_model
from tests.any_model import any_stage

READY = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
TO_TENSOR = transforms.Compose([transforms.Resize((16, 16)), transforms.ToTensor()])


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.Flatten(), nn.Linear(32, 3))


class Towers(nn.Module):
    """As OpenAI's own CLIP is called."""

    def __init__(self):
        super().__init__()
        self.eye, self.words = net(), nn.Embedding(9, 3)

    def encode_image(self, images):
        return self.eye(images)

    def encode_text(self, tokens):
        return self.words(tokens).sum(1)


def test_logits_need_nothing_else():
    module = net().train()
    model = GivenModel(module).under_audit(READY, 1)
    logits = module(READY[None])
    assert torch.equal(model.score(READY[None], torch.tensor([2])), logits[:, 2])
    assert class_names_of(model) == ("0", "1", "2")
    assert "given without names of its classes" in model.notes[0]
    assert model.module is not module
    assert (module.training, model.module.training) == (True, False)
    assert model.image_size == 16


def test_ready_pictures_are_shown_by_their_range():
    shown = GivenModel(net()).under_audit(READY, 1).restore_colors(READY * 4 - 2)
    assert float(shown.min()) == 0
    assert float(shown.max()) == pytest.approx(1)


def test_a_score_of_the_callers_own():
    given = GivenModel(
        net(),
        lambda module, images, targets: module(images).softmax(-1)[range(len(targets)), targets],
        TO_TENSOR,
        ("a", "b", "c"),
    )
    model = given.under_audit(None, None)
    images = torch.stack([READY, READY.flip(-1)])
    wanted = given.model(images).softmax(-1)[[0, 1], [2, 0]]
    torch.testing.assert_close(model.score(images, torch.tensor([2, 0])), wanted)
    assert model.score_name == "score"


@pytest.mark.parametrize("name", ["own", "transformers CLIP"])
def test_two_towers_with_token_ids(name):
    if name == "own":
        module, image, tokens = Towers(), READY, torch.tensor([[1, 4]])
        wanted = nn.functional.cosine_similarity(
            module.encode_image(image[None]), module.encode_text(tokens)
        )
    else:
        stage = any_stage(name)
        module, pair = stage.model, stage.pairs[0]
        image, tokens = pair.image[0], pair.targets
        out = module(input_ids=tokens, pixel_values=image[None])
        wanted = out.logits_per_image[0] / module.logit_scale.exp()
    model = GivenModel(module).under_audit(image, tokens[0])
    torch.testing.assert_close(model.score(image[None], tokens), wanted, atol=1e-6, rtol=1e-6)
    assert model.score_name == "cosine"
    assert class_names_of(model) is None
    with pytest.raises(ModelError, match="rows of token ids, got texts such as 'a dog'"):
        model.encode(["a dog"])


@pytest.mark.parametrize(
    ("given", "picture", "target", "words"),
    [
        (GivenModel(net()), None, 0, "expected preprocess="),
        (GivenModel(net()), torch.rand(3, 16, 20), 0, "H equal to W"),
        (GivenModel(net()), READY, torch.tensor([1, 2]), "encode_image and encode_text"),
        (GivenModel(Towers(), classes=["a"]), READY, torch.tensor([1]), "two_towers_of"),
        (GivenModel(nn.Conv2d(3, 2, 4)), READY, 0, r"logits \(pictures, classes\)"),
        (GivenModel(net(), lambda *_: 0), READY, 0, "names of all classes beside score="),
        (GivenModel(net(), classes=["a"]), READY, 0, "3 classes in the order of its logits, got 1"),
    ],
)
def test_what_is_missing_is_told(given, picture, target, words):
    with pytest.raises(ModelError, match=words):
        given.under_audit(picture, target)


def test_what_is_no_module_is_refused():
    with pytest.raises(ModelError, match="a ModelUnderAudit, got str"):
        given_model("net")
    ready = GivenModel(net()).under_audit(READY, 1)
    assert given_model(ready).under_audit(READY, 1).module is not ready.module
    with pytest.raises(ModelError, match="classes: expected beside a plain"):
        given_model(ready, classes=["a"])


def test_pictures_without_preprocess_are_told():
    model = GivenModel(net()).under_audit(READY, 1)
    picture = Image.new("RGB", (320, 240))
    with pytest.raises(ModelError, match="320×240 pixels and no preprocess"):
        model.preprocess(picture)


def test_a_compiled_module_is_audited_as_what_was_compiled():
    net = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 5))
    model = GivenModel(torch.compile(net, backend="eager")).under_audit(torch.rand(3, 8, 8), 0)
    assert type(model.module) is nn.Sequential
    assert any("was compiled" in note for note in model.notes)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*is deprecated:FutureWarning")
@pytest.mark.parametrize(("whole", "words"), [(True, "it is a torch"), (False, "its part '1' is")])
def test_a_scripted_module_is_refused(whole, words):
    part = torch.jit.trace(nn.Linear(4, 5), torch.rand(1, 4))
    model = part if whole else nn.Sequential(nn.Flatten(), part)
    with pytest.raises(ModelError, match=words):
        GivenModel(model).under_audit(torch.rand(3, 8, 8), 0)
