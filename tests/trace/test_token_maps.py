"""Faults of token maps are named for what they are, and shorter contexts for what they are not."""

import copy
import re

import pytest
import torch

from audit.models.anatomy import anatomy_of
from audit.trace.attention_calls import softmax_call
from audit.trace.observations import Expected
from audit.trace.shorter_texts import hides_what_follows, is_shorter, same_up_to_the_end
from tests import panel
from tests.panel_stage import END
from tests.reference_explainers.faulty import FAULTY

HIDDEN = r"% of the attention of all tokens goes where the model's mask hides others"
OTHER = r"the text tower's feature is read off {} in place of the end-of-text token \(token 9\)"


def said(name, check, on):
    member = next(m for m in FAULTY if m.name == name)
    return panel.judged_by_traces(member, on)[check].summary


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("causal mask dropped by own code", "P105", HIDDEN),
        ("causal mask dropped in module calls", "P105", HIDDEN),
        ("causal mask too weak", "P105", HIDDEN),
        ("text attention by fused kernel without mask", "P105", HIDDEN),
        ("context sliced without mask", "P105", f"4 heads, [0-9.]+ {HIDDEN}"),
        (
            "causal mask of strictly earlier tokens",
            "P105",
            "none goes to 1 token that the model attends to",
        ),
        ("pooled at the start of the text", "P104", OTHER.format("token 0")),
        ("pooled at the last position before the final norm", "P104", OTHER.format("token 15")),
        ("pooled at the last position of attention maps", "P104", OTHER.format("token 15")),
        ("token removal pooled at the last position", "P104", OTHER.format("token 15")),
        ("pooled as the mean of the text", "P104", OTHER.format("the mean of tokens")),
        ("one head in the last text block", "P105", "text tower, block 1: .* heads 4 → 1"),
        ("projected twice", "P104", "computed otherwise than by the model, with text_projection"),
    ],
)
def test_a_fault_is_named(name, check, words, small_stage):
    assert re.search(words, said(name, check, small_stage))


def test_attention_of_other_heads_lacks_no_residual(small_stage):
    member = next(m for m in FAULTY if m.name == "one head in the text tower")
    finding = panel.judged_by_traces(member, small_stage)["P105"]
    assert not any("without the residual" in line for line in finding.detail)


def test_the_share_of_attention_that_a_mask_hides():
    attention = torch.tensor([[0.5, 0.3, 0.2], [0.25, 0.75, 0.0], [0.2, 0.2, 0.6]])
    hidden = torch.ones(3, 3, dtype=torch.bool).triu(1)
    expected = Expected(torch.ones(1, 1, 3), torch.tensor([1]), hidden)
    found = softmax_call(attention[None, None], (), {}, [], expected)
    assert found.heads == 1
    assert found.rows.tolist() == [[[0.25, 0.75, 0.0]]]
    assert found.hidden == pytest.approx(0.5 / 3)


@pytest.fixture
def text(small_stage):
    return anatomy_of(small_stage.pristine).text, small_stage.pair.targets


def test_a_text_is_the_same_up_to_its_end(text):
    tower, given = text
    end = int(given.argmax())
    assert hides_what_follows(tower, given.shape[1])
    cut, too_far = given[:, : end + 1], given[:, :end]
    assert is_shorter(tower, cut, given)
    assert same_up_to_the_end(tower, cut, given).tolist() == [True]
    assert same_up_to_the_end(tower, too_far, given).tolist() == [False]
    other, later = cut.clone(), given[:, : end + 3].clone()
    other[:, 2], later[:, -1] = 3 + int(cut[0, 2] == 3), 7
    both = same_up_to_the_end(tower, torch.cat([other, cut]), given)
    assert both.tolist() == [False, True]
    assert same_up_to_the_end(tower, later, given).tolist() == [True]
    ended = given[:, : end + 2].clone()
    ended[:, 1] = END
    assert same_up_to_the_end(tower, ended, given).tolist() == [False]


def test_no_shorter_picture_or_unmasked_text(small_stage, text):
    tower, given = text
    assert not is_shorter(tower, given, given)
    assert not is_shorter(anatomy_of(small_stage.pristine).image, given[:, :4], given)
    unmasked = copy.deepcopy(small_stage.pristine)
    unmasked.attn_mask.zero_()
    assert not is_shorter(anatomy_of(unmasked).text, given[:, :4], given)
