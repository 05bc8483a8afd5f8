import pytest
import torch

from audit.interventions.model_parts import anatomy_stages
from audit.interventions.randomizing import cascade
from audit.models.anatomy import anatomy_of
from tests.audited import parts


def stages(model, tower):
    return anatomy_stages(anatomy_of(model), tower)


def tower_names(model, tower):
    return {
        name
        for name, _ in model.named_parameters()
        if name.startswith("visual.") == (tower == "image") and name != "logit_scale"
    }


@pytest.mark.parametrize("tower", ["image", "text"])
def test_cascade_reaches_every_parameter_of_its_tower_only(clip, tower, differing, state_hash):
    before = state_hash(clip)
    *_, last = cascade(clip, stages(clip, tower), 0, tower)
    values, _ = differing(clip, last.model)
    assert values == tower_names(clip, tower)
    assert last.share_reached == 1.0
    assert state_hash(clip) == before
    old, new = dict(clip.named_parameters()), dict(last.model.named_parameters())
    assert not any((old[name] == new[name]).any() for name in values)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_cascade_goes_from_the_top_down_and_keeps_what_it_redrew(clip, tower, differing):
    previous, redrawn, share = clip, set(), 0.0
    expected = stages(clip, tower)
    for stage in cascade(clip, expected, 1, tower):
        assert differing(previous, stage.model)[0] == set(expected[stage.name])
        redrawn |= set(expected[stage.name])
        assert differing(clip, stage.model) == (redrawn, redrawn)
        assert stage.share_reached > share
        previous, share = stage.model, stage.share_reached
    count = 3 if tower == "image" else 2
    blocks = [f"block {index}" for index in reversed(range(count))]
    assert list(expected) == ["readout", *blocks, "embedding"]


def test_stages_hold_the_parts_that_reset_parameters_would_miss(joint_clip):
    found = stages(joint_clip, "image")
    assert set(found["readout"]) == {"visual.proj", "visual.ln_post.weight", "visual.ln_post.bias"}
    assert {n.removeprefix("visual.") for n in found["embedding"]} == {
        "class_embedding",
        "positional_embedding",
        "conv1.weight",
        "ln_pre.weight",
        "ln_pre.bias",
    }
    assert "visual.transformer.resblocks.0.attn.in_proj_weight" in found["block 0"]
    assert len(found["block 0"]) == 12


@torch.no_grad()
def test_redrawn_tensors_match_the_old_moments_and_none_repeats(joint_clip):
    *_, last = cascade(joint_clip, parts(joint_clip).image, 0)
    blocks = last.model.visual.transformer.resblocks
    weights = [p.flatten() for block in blocks for p in block.parameters() if p.shape == (32, 32)]
    norms = [p for block in blocks for p in block.parameters() if p.shape == (32,)]
    for group in (weights, norms):
        correlation = torch.corrcoef(torch.stack(group)) - torch.eye(len(group))
        assert float(correlation.abs().max()) < 0.75
    old, new = joint_clip.visual.conv1.weight, last.model.visual.conv1.weight
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.05)


def test_cascade_is_deterministic_by_seed(clip, state_hash):
    image = parts(clip).image
    hashes = ([state_hash(s.model) for s in cascade(clip, image, k)] for k in (4, 4, 5))
    first, again, other = hashes
    assert first == again
    assert not set(first) & set(other)


def test_fresh_norms_become_random(clip):
    for module in clip.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
    *_, last = cascade(clip, parts(clip).image, 0)
    assert not (last.model.visual.ln_post.weight == 1).any()
    assert not (last.model.visual.ln_post.bias == 0).any()


def test_the_function_changes_at_every_stage(clip, inputs):
    previous = clip
    for stage in cascade(clip, parts(clip).image, 0):
        with torch.no_grad():
            old, new = (m.encode_image(inputs[0], normalize=True) for m in (previous, stage.model))
        assert float((old * new).sum(-1).max()) < 0.999
        previous = stage.model
