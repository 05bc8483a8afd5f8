"""The inside of models of any library: found by following a picture, believed when it proves."""

import pytest
import torch
from torch import nn

from audit.interventions.copies import copy_with
from audit.interventions.degrading import remove_heads
from audit.interventions.function_preserving.edits import apply_edit, default_edits
from audit.interventions.function_preserving.proof import proof
from audit.interventions.model_parts import parts_of
from audit.interventions.probing.knockout import knock_out
from audit.interventions.probing.patching import null_control
from audit.models import attention_pooling
from audit.models.anatomy import UnknownAnatomyError
from audit.models.python_object import model_of
from tests.block_models import drawn, timm_model
from tests.known_towers import BUILD, CLASSES, known_model, pairs_of

READ = {
    "timm class token": ("the class token", 1),
    "timm average": ("the mean of tokens", 1),
    "timm rotary average": ("the mean of tokens", 1),
    "timm attention pooling": ("attention pooling", 0),
    "torchvision class token": ("the class token", 1),
    "transformers class token": ("the class token", 1),
    "transformers both": ("the class token beside the mean of tokens", 1),
    "transformers CLIP": ("the class token", 1),
    "transformers SigLIP": ("attention pooling", 0),
}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("name", BUILD)
@torch.no_grad()
def test_block_by_block_a_tower_gives_what_the_model_gives(name):
    model = known_model(name)
    images, targets = pairs_of(model)
    anatomy = model.require_anatomy()
    tower = anatomy.image
    assert (len(tower.blocks), tower.heads, tower.grid) == (2, 4, (4, 4))
    assert (tower.reading.in_words, tower.prefix) == READ[name]
    assert [block.index for block in tower.blocks] == [0, 1]
    x = tower.run(tower.embed(images), 0, 2)
    own = model.features(images)
    torch.testing.assert_close(tower.score_features(x), own, **CLOSE)
    torch.testing.assert_close(tower.reading.features(x), own, **CLOSE)
    torch.testing.assert_close(anatomy.image_features(images), own)
    assert (anatomy.text_tower is not None) == (targets.ndim > 1)
    if anatomy.text_tower is not None:
        text = anatomy.text
        y = text.run(text.embed(targets), 0, 2)
        torch.testing.assert_close(text.score_features(y), model.target_features(targets), **CLOSE)
        assert text.pooled_index(targets).tolist() == [11] * 3


@torch.no_grad()
def test_what_is_known_of_a_model_is_known_of_a_copy_with_other_weights():
    model = known_model("timm average")
    images, _ = pairs_of(model)
    weights = {n: p + 0.1 for n, p in model.module.named_parameters() if n.startswith("blocks.")}
    copied = model.with_module(copy_with(model.module, weights))
    tower = copied.require_anatomy().image
    made = tower.score_features(tower.run(tower.embed(images), 0, 2))
    torch.testing.assert_close(made, copied.features(images), **CLOSE)
    assert not torch.allclose(made, model.features(images), atol=1e-2)


class Turned(nn.Module):
    """A model that sees its pictures the other way round, as one whose tokens run so would."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images.flip(-1))


def own(module):
    known = known_model("timm class token")
    return model_of(drawn(module), known.interface.pictures.function, CLASSES)


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: Turned(timm_model("vit_base_patch16_224")), "token 1 to stand for the patch"),
        (
            lambda: timm_model("beit_base_patch16_224", use_rel_pos_bias=True),
            "each of which gives what its parts promise",
        ),
        (lambda: timm_model("vit_small_patch16_rope_mixed_224"), "found learned positions"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 5)), "nor is any part of it a block"),
    ],
    ids=["turned", "relative-positions", "learned-rotations", "no-blocks"],
)
def test_what_is_not_as_it_should_be_has_no_anatomy(build, why):
    model = own(build())
    assert model.anatomy is None
    with pytest.raises(UnknownAnatomyError, match=why):
        model.require_anatomy()


def test_a_pooling_that_is_not_known_leaves_the_blocks_known(monkeypatch):
    monkeypatch.setattr(attention_pooling, "TABLE", {})
    model = own(timm_model("vit_base_patch16_siglip_224", depth=3))
    tower = model.require_anatomy().image
    assert tower.reading is None
    assert len(tower.blocks) == 3


@pytest.mark.parametrize("name", ["timm average", "transformers SigLIP"])
@torch.no_grad()
def test_probes_of_tokens_and_of_heads(name):
    model = known_model(name)
    images, targets = pairs_of(model)
    anatomy = model.require_anatomy()
    null = null_control(anatomy, images[:2], mode="removal", start=0, stop=2)
    assert max(null.everything, null.nothing) < 1e-5
    nothing = knock_out(anatomy, images, start=1, stop=1)
    torch.testing.assert_close(
        nothing.features, nothing.reference[:, None].expand_as(nothing.features), **CLOSE
    )
    hidden = knock_out(anatomy, images, start=0, stop=2).features
    assert float((hidden - nothing.features).norm(dim=-1).min()) > 1e-3
    parts = parts_of(model, images, targets)
    altered = remove_heads(model.module, parts, 0.5, torch.Generator().manual_seed(0))
    change = (model.with_module(altered).features(images) - model.features(images)).norm()
    assert change > 1e-2


@pytest.mark.parametrize(
    ("name", "beyond_blocks"),
    [
        ("timm class token", {"final-norm-folding"}),
        ("timm attention pooling", set()),
        ("transformers CLIP", {"final-norm-folding", "projection-rotation"}),
    ],
)
def test_edits_keep_the_function(name, beyond_blocks):
    model = known_model(name, torch.float64)
    images, targets = pairs_of(model)
    edits = default_edits(model.require_anatomy())
    found = {edit.name for edit in edits}
    assert found >= {"key-bias", "value-bias", "query-key-mixing", "head-permutation"}
    assert found & {"final-norm-folding", "projection-rotation"} == beyond_blocks
    for edit in edits:
        edited = apply_edit(model, edit)
        assert proof(model, edited, images, targets) < 1e-10, edit
