"""What a trace says of explanations, and that tracing changes nothing."""

import copy

import pytest
import torch
from torch.nn import functional as F
from torch.nn.modules import module as module_hooks

from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.trace.integrity import Integrity
from audit.trace.tracing import trace_pair
from tests import panel_stage
from tests.reference_explainers import (
    faulty_attention,
    honest_attention,
    honest_gradients,
    honest_knock_outs,
    honest_probes,
    parts,
)
from tests.reference_explainers.faulty import FAULTY
from tests.reference_explainers.honest import HONEST

HONEST_SOME = [m for m in HONEST if not m.name.startswith("rise")][::6]


@pytest.mark.parametrize("member", HONEST_SOME, ids=lambda m: m.name.replace(" ", "-"))
def test_tracing_changes_neither_model_nor_map(member, each_stage):
    pair = each_stage.pair
    plain = member.explain(copy.deepcopy(each_stage.model), pair.image, pair.targets)
    model, kept = copy.deepcopy(each_stage.model), []

    def keep(*args):
        kept.append(member.explain(*args))
        return kept[-1]

    integrity = Integrity(model, each_stage.pristine)
    _, _ = trace_pair(Explainer("kept", keep), model, each_stage.structure, pair)

    assert integrity.verify() == []
    for name in ("maps", "token_maps"):
        one, other = getattr(plain, name, plain), getattr(kept[0], name, kept[0])
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_global_hooks_are_removed_even_when_the_explainer_raises(traced):
    def explain(model, images, tokens):
        model.encode_image(images)
        raise ZeroDivisionError

    before = len(module_hooks._global_forward_pre_hooks)  # noqa: SLF001 - torch's own
    with pytest.raises((ZeroDivisionError, RuntimeError)):
        traced(explain)
    assert len(module_hooks._global_forward_pre_hooks) == before  # noqa: SLF001 - torch's own


def test_score_of_an_honest_gradient_is_traced_to_both_features(traced, each_stage):
    trace = traced(honest_gradients.backward_of_cosine, each_stage)
    (scalar,) = trace.scalars
    assert scalar.clean
    assert scalar.of_pair
    assert scalar.nearest == "cosine"
    assert scalar.error < 1e-6
    assert trace.clean_features
    assert trace.map_known
    assert [p.given_rows for p in trace.passes] == [1, 1]


def test_own_code_in_another_layout_is_the_models(traced, each_stage):
    trace = traced(honest_attention.rollout_in_sequence_first_layout, each_stage)
    assert trace.attention == ()
    assert trace.alterations == ()
    assert trace.attention_calls >= 3


def test_one_head_names_block_heads_divergence_and_line(traced):
    trace = traced(faulty_attention.one_head_sequence_first)
    (record,) = trace.attention
    assert (record.tower, record.block, record.operation) == ("image", 2, "softmax")
    assert (record.executed_heads, record.model_heads) == (1, 4)
    assert record.divergence > 0.01
    file, line = record.place.rsplit(":", 1)
    assert file.endswith("faulty_attention.py")
    source = faulty_attention.__file__
    with open(source, encoding="utf-8") as lines:  # noqa: PTH123
        assert "softmax" in lines.readlines()[int(line) - 1]


def test_executed_attention_is_what_the_explainer_computed(traced, small_stage):
    model, pair = small_stage.pristine, small_stage.pair
    trace = traced(faulty_attention.raw_attention_of_one_head)
    block = model.visual.transformer.resblocks[-1]
    y = block.ln_1(parts.before(model, pair.image, 2))
    for heads, row in ((1, trace.attention[0].executed), (None, trace.attention[0].model)):
        q, k, _ = parts.qkv(block, y, heads)
        expected = parts.attention(q, k)[0, :, 0].mean(0)
        torch.testing.assert_close(torch.tensor(row).float(), expected, rtol=1e-4, atol=1e-6)


def test_only_the_first_cause_is_told(traced):
    (scalar,) = traced(faulty_attention.one_head_in_all_blocks).scalars
    assert len(scalar.reasons) == 1
    assert scalar.reasons[0].startswith("attention of block 0 of the image tower differs")


def test_attention_that_the_map_does_not_use_is_not_held_against_it(traced):
    def explain(model, images, tokens):
        faulty_attention.one_head_in_the_last_block(model, images, tokens)
        return honest_gradients.backward_of_cosine(model, images, tokens)

    trace = traced(explain)
    assert [a.relevant for a in trace.attention] == [False]


def test_what_left_torch_stands_for_a_map_from_numpy(traced):
    def explain(model, images, tokens):
        honest_gradients.backward_of_cosine(model, images, tokens)
        maps = faulty_attention.one_head_in_the_last_block(model, images, tokens)
        return torch.from_numpy(maps.numpy().copy())

    trace = traced(explain)
    assert trace.attention
    assert all(a.relevant for a in trace.attention)


def test_many_passes_are_summed_up(traced):
    trace = traced(honest_probes.rise)
    image = [p for p in trace.passes if p.tower == "image"]
    assert [(p.rows, p.given_rows, p.surrounds_given) for p in image] == [(200, 0, True)]


def test_knock_out_is_seen_as_many_variants_beside_a_clean_pass(traced):
    trace = traced(honest_knock_outs.attention_knock_out_by_own_code)
    assert trace.clean_features
    assert trace.attention[0].variants >= 16


def test_exact_copy_is_recognized_and_an_edited_one_accused(traced):
    def on_copy(edit):
        def explain(model, images, tokens):
            clone = copy.deepcopy(model)
            edit(clone)
            return parts.gradient_map(clone, images, lambda x: parts.cosine(clone, x, tokens))

        return explain

    exact = traced(on_copy(lambda clone: None))
    assert exact.changes == ()
    assert exact.scalars[0].clean
    edited = traced(on_copy(lambda clone: clone.visual.proj.data.mul_(1.01)))
    assert any("run as a copy" in c.what for c in edited.changes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_precision(traced, small_stage, dtype):
    model = copy.deepcopy(small_stage.model).to(dtype)
    pristine = copy.deepcopy(model).requires_grad_(False)
    pair = panel_stage.traced(pristine, small_stage.pair.image.to(dtype), small_stage.pair.targets)
    stage = panel_stage.Stage(model, pristine, (pair,), 64 * torch.finfo(dtype).eps)
    assert traced(honest_gradients.backward_of_cosine, stage).scalars[0].clean
    assert traced(faulty_attention.one_head_in_the_last_block, stage).attention


def test_returned_scores_are_followed(traced):
    def explain(model, images, tokens):
        result = parts.both(honest_gradients.gradient_of_logits(model, images, tokens), None)
        result.scores = parts.cosine(model, images, tokens).detach()
        return result

    returned = [s for s in traced(explain).scalars if s.source == "returned"]
    assert len(returned) == 1
    assert returned[0].clean


def test_channels_of_a_feature_may_not_be_mixed_with_others(traced):
    def shifted(model, images, tokens):
        text = parts.text_unit(model, tokens)
        return parts.gradient_map(
            model,
            images,
            lambda x: (F.normalize(model.encode_image(x) + 0.01, dim=-1) * text).sum(),
        )

    assert not traced(shifted).scalars[0].clean


def test_every_faulty_member_has_a_docstring_or_a_telling_name():
    assert all(len(m.name.split()) >= 2 for m in FAULTY)


def test_a_text_may_end_with_the_last_token_that_there_is_room_for(small_stage):
    tokens = small_stage.pair.targets.clamp(1, panel_stage.END - 1)
    tokens[:, -1] = panel_stage.END
    pair = panel_stage.traced(small_stage.pristine, small_stage.pair.image, tokens)
    model = copy.deepcopy(small_stage.model)
    trace, _ = trace_pair(load_explainer("gradient"), model, small_stage.structure, pair)
    assert {scalar.of_model for scalar in trace.scalars if scalar.relevant} == {True}
