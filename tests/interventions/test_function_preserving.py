import dataclasses
import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.interventions.function_preserving import (
    BLOCK_EDITS,
    EDITS,
    Edit,
    EditNotApplicableError,
    apply_edit,
    default_edits,
    every_edit,
    proof,
    tolerance,
)
from audit.interventions.function_preserving.matrices import invertible, orthogonal, permutation
from audit.models.anatomy import anatomy_of
from tests.audited import audited

PLACES = [
    *(
        Edit(name, tower, block, 5)
        for name in BLOCK_EDITS
        for tower, blocks in (("image", (0, 1, 2, None)), ("text", (0, 1, None)))
        for block in blocks
    ),
    Edit("final-norm-folding", "image"),
    Edit("final-norm-folding", "text"),
    Edit("projection-rotation", None),
]
ATTENTION = {
    "key-bias": {"k"},
    "value-bias": {"v"},
    "query-key-rotation": {"q", "k"},
    "query-key-mixing": {"q", "k"},
    "value-output-mixing": {"v"},
    "head-permutation": {"q", "k", "v", "a"},
    "neuron-permutation": set(),
    "attention-norm-folding": set(),
    "mlp-norm-folding": set(),
}
SEEDS = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def named(edit):
    return f"{edit.name}-{edit.place}".replace(" ", "-").replace(",", "")


@pytest.mark.parametrize("edit", PLACES, ids=named)
def test_edit_keeps_the_function_but_not_the_weights(clip, inputs, edit, differing, state_hash):
    before = state_hash(clip)
    edited = apply_edit(audited(clip), edit)
    values, storages = differing(clip, edited)
    assert proof(audited(clip), edited, *inputs) <= 1e-10
    assert values
    assert values == storages
    assert state_hash(clip) == before
    assert not (values & {"logit_scale"})


@pytest.mark.parametrize("edit", PLACES, ids=named)
def test_edit_changes_only_its_place(clip, edit, differing):
    values, _ = differing(clip, apply_edit(audited(clip), edit))
    if edit.tower is None:
        assert {name.split(".")[-1] for name in values} == {"proj", "text_projection"}
        return
    assert {name.startswith("visual.") for name in values} == {edit.tower == "image"}
    blocks = {int(n.split("resblocks.")[1].split(".")[0]) for n in values if "resblocks" in n}
    if edit.name not in BLOCK_EDITS:
        assert not blocks
    elif edit.block is None:
        assert len(blocks) == (3 if edit.tower == "image" else 2)
    else:
        assert blocks == {edit.block}


@torch.no_grad()
@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("name", BLOCK_EDITS)
def test_edit_moves_what_it_should_inside_the_attention(clip, inputs, name, tower):
    edited = apply_edit(audited(clip), Edit(name, tower, 1, 2))
    inside = []
    for model in (clip, edited):
        view = anatomy_of(model).tower(tower)
        x = view.run(view.embed(inputs[0 if tower == "image" else 1]), 0, 1)
        block = view.blocks[1]
        q, k, v = block.qkv(block.normalize(x))
        inside.append({"q": q, "k": k, "v": v, "a": block.attention(q, k, view.mask(x.shape[1]))})
    size = {part: float(inside[0][part].abs().mean()) for part in inside[0]}
    moved = {p: float((inside[0][p] - inside[1][p]).abs().mean()) / size[p] for p in size}
    assert {part for part, change in moved.items() if change > 0.1} == ATTENTION[name]
    assert all(moved[part] < 1e-10 for part in set(moved) - ATTENTION[name])


@pytest.mark.parametrize("tower", ["image", "text"])
def test_folding_leaves_trivial_norms(joint_clip, tower):
    edited = apply_edit(audited(joint_clip), Edit("mlp-norm-folding", tower, 1))
    norm = anatomy_of(edited).tower(tower).blocks[1].module.ln_2
    assert (norm.weight == 1).all()
    assert not norm.bias.any()
    edited = apply_edit(audited(joint_clip), Edit("final-norm-folding", tower))
    final = anatomy_of(edited).tower(tower)
    norm = final.module.ln_post if tower == "image" else final.module.ln_final
    assert (norm.weight == 1).all()


@pytest.mark.parametrize(
    "edit",
    [
        Edit("attention-norm-folding", "image", 0),
        Edit("mlp-norm-folding", "text", 1),
        Edit("final-norm-folding", "image"),
        Edit("final-norm-folding", "text"),
    ],
    ids=named,
)
def test_folding_of_a_trivial_norm_is_not_empty(clip, inputs, edit, differing):
    for module in clip.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
    edited = apply_edit(audited(clip), edit)
    assert len(differing(clip, edited)[0]) >= 2
    assert proof(audited(clip), edited, *inputs) <= 1e-10


def test_final_norm_folding_keeps_dead_channels(clip, inputs):
    clip.visual.ln_post.weight.data[3] = 0.0
    edited = apply_edit(audited(clip), Edit("final-norm-folding", "image"))
    assert proof(audited(clip), edited, *inputs) <= 1e-10
    assert edited.visual.ln_post.weight[3] == 0


@given(seed=st.integers(0, 2**40), place=st.integers(0, len(PLACES) - 1))
@SEEDS
def test_any_seed_keeps_the_function_and_repeats(joint_clip, inputs, state_hash, seed, place):
    edit = dataclasses.replace(PLACES[place], seed=seed)
    edited = apply_edit(audited(joint_clip), edit)
    assert proof(audited(joint_clip), edited, *inputs) <= 1e-10
    assert state_hash(edited) == state_hash(apply_edit(audited(joint_clip), edit))


@pytest.mark.parametrize("edit", PLACES, ids=named)
def test_edit_holds_in_single_precision(joint_clip, inputs, edit):
    model, (images, tokens) = joint_clip.float(), inputs
    edited = apply_edit(audited(model), edit)
    assert proof(audited(model), edited, images.float(), tokens) <= tolerance(torch.float32)


def test_edits_compose_over_every_place(clip, inputs, differing):
    edited = clip
    for edit in every_edit(anatomy_of(clip), seed=1):
        edited = apply_edit(audited(edited), edit)
    assert proof(audited(clip), edited, *inputs) <= 1e-10
    assert len(differing(clip, edited)[0]) > 60


def test_a_broken_edit_is_seen_by_the_proof(clip, inputs):
    edited = apply_edit(audited(clip), Edit("value-bias", "image", 2))
    edited.visual.transformer.resblocks[2].attn.out_proj.bias.data.copy_(
        clip.visual.transformer.resblocks[2].attn.out_proj.bias
    )
    assert proof(audited(clip), edited, *inputs) > 1e-3


def test_an_edit_of_all_blocks_repeats_the_edit_of_each(joint_clip, differing):
    together = apply_edit(audited(joint_clip), Edit("query-key-mixing", "image", None, 4))
    single = apply_edit(audited(joint_clip), Edit("query-key-mixing", "image", 2, 4))
    assert not [n for n in differing(together, single)[0] if "resblocks.2." in n]


def test_default_edits_hold_every_kind_once_per_place(clip):
    edits = default_edits(anatomy_of(clip))
    assert {edit.name for edit in edits} == set(EDITS)
    assert len(set(edits)) == len(edits) == 30
    assert len(every_edit(anatomy_of(clip))) == 9 * 5 + 3


def test_edits_without_their_parts_are_left_out_and_refused(clip):
    clip.visual.ln_post = torch.nn.Identity()
    clip.visual.proj = None
    names = {(edit.name, edit.tower) for edit in default_edits(anatomy_of(clip))}
    assert ("final-norm-folding", "image") not in names
    assert ("projection-rotation", None) not in names
    assert ("final-norm-folding", "text") in names
    for edit in (Edit("final-norm-folding", "image"), Edit("projection-rotation", None)):
        with pytest.raises(EditNotApplicableError, match="expected"):
            apply_edit(audited(clip), edit)


@pytest.mark.parametrize("bias", [True, False])
def test_a_projection_that_is_a_layer_is_edited_too(clip, inputs, bias):
    text = anatomy_of(clip).text.module
    layer = torch.nn.Linear(32, 24, bias=bias, dtype=torch.float64)
    del text.text_projection
    text.text_projection = layer
    for edit in (Edit("final-norm-folding", "text"), Edit("projection-rotation", None)):
        assert proof(audited(clip), apply_edit(audited(clip), edit), *inputs) <= 1e-10


def test_unknown_edits_and_blocks_are_refused(clip):
    for edit, message in (
        (Edit("sabotage"), "expected one of key-bias"),
        (Edit("key-bias", "image", 3), "block from 0 to 2 of the image tower, got 3"),
        (Edit("key-bias", None), "expected a tower"),
    ):
        with pytest.raises(ValueError, match=message):
            apply_edit(audited(clip), edit)


@given(size=st.integers(1, 40), seed=st.integers(0, 2**40))
@SEEDS
def test_matrices_are_what_they_say(size, seed):
    generator = torch.Generator().manual_seed(seed)
    rotation, mixing = orthogonal(size, generator), invertible(size, generator)
    eye = torch.eye(size, dtype=torch.float64)
    assert torch.allclose(rotation @ rotation.T, eye, atol=1e-12)
    assert float(torch.linalg.cond(mixing)) <= 10 + 1e-9
    if size > 1:
        order = permutation(size, generator)
        place, steps = int(order[0]), 1
        while place != 0:
            place, steps = int(order[place]), steps + 1
        assert steps == size  # one cycle: no set of some heads stays where it is


def test_tolerance_grows_as_the_dtype_gets_coarser():
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    assert all(tolerance(a) < tolerance(b) for a, b in itertools.pairwise(dtypes))
    with pytest.raises(ValueError, match=r"torch\.int64"):
        tolerance(torch.int64)
