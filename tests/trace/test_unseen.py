"""What a trace cannot see is never passed over in silence."""

import contextlib
import multiprocessing
import threading

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes

from audit.evidence.kinds import Evidence, Roles, TraceEvidence
from audit.result.finding import Verdict
from principles.catalogue import all_checks
from tests import panel_stage
from tests.reference_explainers import parts

READ = ("P103", "P104", "P105")


@pytest.fixture
def verdicts(traced, small_stage):
    def of(explain):
        trace = TraceEvidence((traced(explain),), (), small_stage.tolerance, "float32", {})
        roles = Roles("ours", (), (), None, True, False, False)
        reference = panel_stage.reference_of(small_stage, 2)
        evidence = Evidence(roles=roles, reference=reference, trace=trace)
        checks = {c.id: c for c in all_checks() if c.id in READ}
        return {i: checks[i].finding(evidence) for i in READ}

    return of


def last_tokens(model, images):
    with torch.no_grad():
        return parts.before(model, images, len(model.visual.transformer.resblocks) - 1)


def test_parameters_that_leave_torch_allow_no_pass(verdicts):
    def one_head_in_numpy(model, images, tokens):
        block = model.visual.transformer.resblocks[-1]
        y = block.ln_1(last_tokens(model, images)).detach().numpy()
        weight, bias = block.attn.in_proj_weight.detach().numpy(), block.attn.in_proj_bias
        q, k, _ = np.split(y @ weight.T + bias.detach().numpy(), 3, -1)
        logits = q[:, :1] @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        return parts.grid(model, torch.from_numpy(attention[:, 0, 1:]))

    found = verdicts(one_head_in_numpy)
    assert found["P105"].verdict is found["P104"].verdict is Verdict.INCONCLUSIVE
    assert "in_proj_weight leaves torch" in found["P105"].summary
    assert "test_unseen.py:" in found["P105"].summary


def test_values_that_come_back_as_whole_numbers_carry_what_left(verdicts):
    """A heat map of eight bits, on which nothing of the model can be recognized."""

    def one_head_in_bytes(model, images, tokens):
        block = model.visual.transformer.resblocks[-1]
        q, k, _ = parts.qkv(block, block.ln_1(last_tokens(model, images)), 1)
        one = parts.attention(q, k)[:, 0, 0, 1:].detach().numpy()
        return parts.grid(model, torch.from_numpy((255 * one / one.max()).astype(np.uint8)) / 255)

    assert verdicts(one_head_in_bytes)["P105"].verdict is Verdict.VIOLATION


@pytest.mark.parametrize(("heads", "verdict"), [(None, Verdict.PASS), (1, Verdict.VIOLATION)])
def test_values_that_come_back_are_recognized_or_carry_what_left(verdicts, heads, verdict):
    def through_a_file(model, images, tokens):
        block = model.visual.transformer.resblocks[-1]
        q, k, _ = parts.qkv(block, block.ln_1(last_tokens(model, images)), heads)
        rows = parts.attention(q, k)[:, :, 0, 1:].mean(1).tolist()
        return parts.grid(model, torch.tensor(rows))

    assert verdicts(through_a_file)["P105"].verdict is verdict


def test_attention_may_be_computed_outside_of_torch(verdicts):
    def of(heads):
        def softmax_in_numpy(model, images, tokens):
            block = model.visual.transformer.resblocks[-1]
            q, k, _ = parts.qkv(block, block.ln_1(last_tokens(model, images)), heads)
            logits = (q @ k.mT / q.shape[-1] ** 0.5).detach().numpy()
            attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            return parts.grid(model, torch.from_numpy(attention)[:, :, 0, 1:].mean(1))

        return softmax_in_numpy

    assert verdicts(of(None))["P105"].verdict is Verdict.PASS
    assert verdicts(of(1))["P105"].verdict is Verdict.VIOLATION


def test_what_another_process_computes_allows_no_pass(verdicts):
    def in_a_child(model, images, tokens):
        score = parts.cosine(model, images, tokens)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            values = pool.apply(_centered, (4,))
        return torch.from_numpy(values)[None] * score.detach()

    found = verdicts(in_a_child)
    assert found["P104"].verdict is found["P105"].verdict is Verdict.INCONCLUSIVE
    assert "another process was started" in found["P105"].summary


def _centered(side):
    return np.hypot(*np.mgrid[:side, :side]).astype(np.float32)


def test_scores_and_attention_may_leave_torch(verdicts):
    def occlusion_in_numpy(model, images, tokens):
        text = parts.text_unit(model, tokens)
        drops = np.zeros((4, 4))
        with torch.no_grad():
            for row in range(4):
                for column in range(4):
                    x = images.clone()
                    x[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0
                    unit = F.normalize(model.encode_image(x), dim=-1)
                    drops[row, column] = -float((unit * text).sum().numpy())
        return torch.from_numpy(drops)[None]

    found = verdicts(occlusion_in_numpy)
    assert all(one.verdict is Verdict.PASS for one in found.values())


def test_computing_where_no_mode_looks_is_found_out(verdicts):
    def unseen(model, images, tokens):
        with _disable_current_modes():
            return parts.grad_times_attention(model, images, tokens, heads=1)

    found = verdicts(unseen)
    assert found["P104"].verdict in {Verdict.INCONCLUSIVE, Verdict.VIOLATION}
    assert found["P105"].verdict is Verdict.INCONCLUSIVE
    assert "no operation that was seen made the map" in found["P105"].summary


def test_maps_that_do_not_depend_on_the_model_are_not_suspected(verdicts):
    for explain in (
        lambda m, i, t: i.abs().sum(1),
        lambda m, i, t: torch.rand(len(i), 4, 4),  # differs from run to run, on any model
    ):
        assert all(f.verdict is Verdict.NOT_APPLICABLE for f in verdicts(explain).values())


def test_a_pass_that_raises_hides_nothing_that_follows(verdicts):
    def after_an_error(model, images, tokens):
        with contextlib.suppress(RuntimeError):
            model.encode_image(images[..., :7, :7])  # too small for the positions, within the tower
        return parts.grad_times_attention(model, images, tokens, heads=1)

    found = verdicts(after_an_error)
    assert found["P104"].verdict is found["P105"].verdict is Verdict.VIOLATION


def test_threads_are_left_as_they_were(traced):
    run = threading.Thread.run
    traced(lambda m, i, t: parts.gradient_map(m, i, lambda x: parts.cosine(m, x, t)))
    assert threading.Thread.run is run
