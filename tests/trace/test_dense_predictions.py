"""Dense predictions: what is altered is told, and readouts of the model's own tokens are not."""

import pytest

from audit.explainers.registry import load_explainer
from audit.result.finding import Verdict
from tests import panel
from tests.any_model import any_stage
from tests.reference_explainers import dense_any_model, faulty_dense, honest_scores
from tests.trace.judged import judged
from tests.trace.test_any_model import findings_of

PLANTED = {member.name: member for member in faulty_dense.TABLE}
OF_A_CLASSIFIER = dense_any_model.dense_members()
READOUTS = ("patch similarities", "similarities of patches", "logit lens")


def _name(value):
    return value.name.replace(" ", "-")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("values in the place of attention", "without the attention of block 2, computed with"),
        ("values of patches in one flat batch", "without the attention of block 2, computed with"),
        ("values patch by patch", "without the attention of block 2, computed with"),
        ("values alone", "without the attention, residual and MLP of block 2"),
        ("attention left out", "without the attention of block 2"),
        ("values with values", "attention of block 2 (values attend to values by softmax)"),
        (
            "values with values by the fused kernel",
            "and MLP of block 2 (values attend to values by scaled_dot_product_attention)",
        ),
        ("a second path of values with values", "where values attend to values by softmax"),
        ("queries with queries alone", "off by 0.584, without the residual and MLP of block 2"),
        ("attention of colors", "without the attention, residual and MLP of block 2"),
    ],
)
def test_what_a_block_lacks_is_said(name, said, small_stage):
    found = panel.judged_by_traces(PLANTED[name], small_stage)
    assert said in found["P105"].summary


@pytest.mark.parametrize("member", OF_A_CLASSIFIER, ids=_name)
def test_patches_read_by_a_class_head_are_judged_as_by_a_text(member):
    found = findings_of(member, any_stage("timm ViT"))
    violated = frozenset(c for c, f in found.items() if f.verdict is Verdict.VIOLATION)
    assert member.agrees(violated), {c: found[c].summary for c in violated}
    if member.honest:
        _explains_no_score(found)


@pytest.mark.parametrize(
    "member", [m for m in honest_scores.TABLE if m.name.startswith(READOUTS)], ids=_name
)
def test_a_readout_of_own_tokens_explains_no_score(member, small_stage):
    _explains_no_score(panel.judged_by_traces(member, small_stage))


def _explains_no_score(found):
    assert found["P104"].verdict is Verdict.NOT_APPLICABLE
    assert "each of the model's own tokens says of the target" in found["P104"].summary
    assert found["P105"].verdict is Verdict.PASS


@pytest.mark.parametrize("spec", ["maskclip", "maskclip?keys=true", "clip-surgery"])
def test_the_built_in_dense_predictions_are_other_networks(spec, small_stage, traced):
    found = judged(spec, (traced(load_explainer(spec).explain),), small_stage.tolerance)
    violated = {c for c, f in found.items() if f.verdict is Verdict.VIOLATION}
    assert violated == {"P104", "P105"}
    assert "values that are not the model's enter the final norm" in found["P105"].summary
