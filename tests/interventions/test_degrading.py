import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.interventions import degrading
from audit.interventions.copies import copy_with
from audit.interventions.degrading import Rung, apply_rung, default_ladder
from audit.interventions.draws import generator_for, redrawn
from tests.audited import parts

FAMILIES = {
    "weight-noise": (0.0, 0.4),
    "random-blocks": (0.0, 2.0),
    "interpolation": (0.0, 0.5),
    "removed-heads": (0.0, 0.5),
}
SEEDS = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("family", FAMILIES)
def test_strength_zero_shares_every_tensor(clip, family, differing):
    copy = apply_rung(clip, parts(clip), Rung(family, FAMILIES[family][0], 3))
    assert differing(clip, copy) == (set(), set())
    assert copy is not clip


@pytest.mark.parametrize("family", FAMILIES)
def test_rung_changes_the_image_tower_only_and_never_the_original(
    clip, family, differing, state_hash
):
    before = state_hash(clip)
    copy = apply_rung(clip, parts(clip), Rung(family, FAMILIES[family][1], 0))
    values, storages = differing(clip, copy)
    assert values
    assert values == storages
    assert all(name.startswith("visual.") for name in values)
    assert state_hash(clip) == before


@given(seed=st.integers(0, 2**40), family=st.sampled_from(sorted(FAMILIES)))
@SEEDS
def test_same_seed_same_bytes_and_another_seed_others(joint_clip, state_hash, seed, family):
    strength = FAMILIES[family][1]
    first, again, other = (
        state_hash(apply_rung(joint_clip, parts(joint_clip), Rung(family, strength, s)))
        for s in (seed, seed, seed + 1)
    )
    assert first == again
    assert family == "removed-heads" or first != other


@torch.no_grad()
def test_weight_noise_is_relative_to_each_tensor(clip):
    noisy = degrading.weight_noise(clip, parts(clip), 0.5, generator_for(0))
    for name in ("conv1.weight", "transformer.resblocks.0.mlp.c_fc.weight"):
        old, new = (m.visual.get_parameter(name) for m in (clip, noisy))
        assert float((new - old).std() / old.std()) == pytest.approx(0.5, rel=0.05)


def test_weight_noise_reaches_every_weight_of_the_image_tower(clip, differing):
    values, _ = differing(clip, degrading.weight_noise(clip, parts(clip), 0.1, generator_for(0)))
    weights = {n for n, p in clip.named_parameters() if p.ndim >= 2}
    assert values == {n for n in weights if n.startswith("visual.")}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_random_blocks_are_the_topmost_ones(clip, count, differing):
    copy = degrading.randomize_blocks(clip, parts(clip), count, generator_for(0))
    values, _ = differing(clip, copy)
    blocks = {int(name.split("resblocks.")[1].split(".")[0]) for name in values}
    assert blocks == set(range(3 - count, 3))
    assert len(values) == 12 * count


def test_removed_heads_are_silent(clip):
    copy = degrading.remove_heads(clip, parts(clip), 0.5, generator_for(1))
    silent = 0
    for block, old in zip(
        copy.visual.transformer.resblocks, clip.visual.transformer.resblocks, strict=True
    ):
        for columns, kept in zip(
            block.attn.out_proj.weight.split(8, 1),
            old.attn.out_proj.weight.split(8, 1),
            strict=True,
        ):
            silent += int((columns == 0).all())
            assert (columns == 0).all() or torch.equal(columns, kept)
    assert silent == 6


@torch.no_grad()
def test_interpolation_ends_at_a_tower_of_equal_spread(clip, differing):
    copy = degrading.interpolate_to_random(clip, parts(clip), 1.0, generator_for(1))
    values, _ = differing(clip, copy)
    assert values == {n for n, _ in clip.named_parameters() if n.startswith("visual.")}
    old, new = clip.visual.conv1.weight, copy.visual.conv1.weight
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.05)
    correlation = torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.1


def test_default_ladder_has_every_strength_and_draw_and_starts_unmodified(clip, differing):
    strengths = {"weight-noise": (0.1, 0.2), "removed-heads": (0.5,)}
    for blocks, counts in ((1, 1), (4, 2), (12, 2)):
        ladder = default_ladder(blocks, (0, 1), strengths)
        assert len(ladder) == 1 + 2 * (3 + counts)
        assert len({rung.name for rung in ladder}) == len(ladder)
    assert differing(clip, apply_rung(clip, parts(clip), ladder[0])) == (set(), set())


@pytest.mark.parametrize(
    ("family", "strength"),
    [
        ("weight-noise", -1.0),
        ("random-blocks", 4.0),
        ("interpolation", 1.2),
        ("removed-heads", -0.1),
    ],
)
def test_strengths_out_of_range_are_refused(clip, family, strength):
    with pytest.raises(ValueError, match=r"expected .* got"):
        apply_rung(clip, parts(clip), Rung(family, strength, 0))


def test_unknown_family_is_refused(clip):
    with pytest.raises((ValueError, TypeError), match="sabotage"):
        apply_rung(clip, parts(clip), Rung("sabotage", 1.0, 0))


def test_copy_is_independent_of_the_original(clip, inputs):
    copy = copy_with(clip, {})
    copy.requires_grad_(requires_grad=False)
    copy.visual.register_forward_hook(lambda *_: None)
    copy.train()
    assert clip.visual.conv1.weight.requires_grad
    assert not clip.visual._forward_hooks  # noqa: SLF001 - torch's own
    assert not clip.training
    loss = copy_with(clip, {}).encode_image(inputs[0]).sum()
    loss.backward()
    assert all(p.grad is None for p in clip.parameters())


def test_copy_replaces_tied_parameters_under_both_names(joint_clip):
    visual = joint_clip.visual
    visual.transformer.resblocks[1].ln_1.weight = visual.transformer.resblocks[0].ln_1.weight
    name = "visual.transformer.resblocks.0.ln_1.weight"
    copy = copy_with(joint_clip, {name: torch.zeros(32)})
    blocks = copy.visual.transformer.resblocks
    assert blocks[0].ln_1.weight is blocks[1].ln_1.weight
    assert not blocks[1].ln_1.weight.any()


def test_copy_survives_tensors_with_a_graph_left_on_a_module(clip, inputs):
    clip.visual.leftover = clip.encode_image(inputs[0])
    assert torch.equal(copy_with(clip, {}).visual.leftover, clip.visual.leftover)


def test_copy_refuses_unknown_names_and_shapes(clip):
    with pytest.raises(KeyError, match="'visual\\.nothing'"):
        copy_with(clip, {"visual.nothing": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"\(32, 3, 8, 8\), got \(1,\)"):
        copy_with(clip, {"visual.conv1.weight": torch.zeros(1)})


def test_redrawn_constants_are_not_constant():
    for constant in (torch.ones(64), torch.zeros(64), torch.full((1,), 2.0)):
        assert not (redrawn(constant, generator_for(0)) == constant).any()
