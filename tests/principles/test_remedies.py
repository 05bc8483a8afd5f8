"""A violation says what to do about it, in words of the very deviation."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evidence.kinds import Explanations, PatchEffects
from audit.trace.records import AttentionRecord, ChangeRecord, GradientRecord
from principles.unmodified_model import remedies
from principles.unmodified_model.misplacements import best_fit


def attention(**more):
    given = {
        "tower": "image", "block": 3, "operation": "softmax", "executed_heads": 1, "model_heads": 4,
        "divergence": 0.3, "executed": None, "model": None, "inside_model": False, "variants": 1,
        "surrounds_model": None, "relevant": True, "place": "mine.py:7",
    }  # fmt: skip
    return AttentionRecord(**{**given, **more})


def test_another_number_of_heads_names_the_modules_own():
    said = remedies.of_attention(attention())
    assert "block 3 of the image tower with the module's own number of heads (4)" in said
    assert "in place of 1 (mine.py:7)" in said


def test_attention_inside_the_model_is_left_to_its_module():
    said = remedies.of_attention(attention(inside_model=True, where="layers.2"))
    assert said.startswith("Leave the attention of layers.2 of the image tower")


@pytest.mark.parametrize(
    ("what", "when", "expected"),
    [
        ("forward hooks left behind", "after", "remove() in a finally block"),
        ("method forward replaced", "during", "a forward hook that returns None"),
        ("num_heads 4 → 1", "during", "Leave 'visual.attn' as it is while"),
        ("training False → True", "after", "Put 'visual.attn' back before"),
    ],
)
def test_a_structural_change_is_undone_where_it_is_made(what, when, expected):
    change = ChangeRecord("structure", "visual.attn", what, when, altering=True, place="mine.py:9")
    said = remedies.of_structure(change)
    assert expected in said
    assert "(mine.py:9)" in said


def test_a_changed_weight_is_named():
    change = ChangeRecord("weights", "visual.proj", "written", "during", altering=True, place="")
    assert "Leave 'visual.proj' as it was loaded, also" in remedies.of_weights(change)


def test_a_modified_gradient_names_its_rule_and_the_waiver():
    record = GradientRecord("the pixels", own=False, error=0.2, rule="Clamped", relevant=True,
                            place="mine.py:3")  # fmt: skip
    said = remedies.of_gradient(record)
    assert "by the pixels (mine.py:3)" in said
    assert "(Clamped)" in said
    assert "waive P110" in said


def effects_of(maps):
    none = {"ours": np.zeros((1, len(maps)))}
    return PatchEffects(
        pairs=np.arange(len(maps)), kinds=("one",), effects=maps[None], agreement=none,
        unsigned_agreement=none, ceiling=np.ones((1, 1)), unsigned_ceiling=np.ones((1, 1)),
        null_difference=0.0, tolerance=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("misplace", "words"),
    [
        (lambda maps: maps.swapaxes(1, 2), "with rows and columns exchanged"),
        (lambda maps: maps[..., ::-1], "flipped left to right"),
        (lambda maps: maps[:, ::-1], "flipped top to bottom"),
        (lambda maps: -maps, "with the opposite sign"),
        (lambda maps: np.roll(maps.reshape(5, -1), 1, 1).reshape(maps.shape), "shifted back"),
    ],
)
def test_a_misplaced_map_is_told_by_how_it_would_fit(misplace, words, roles):
    drops = np.random.default_rng(0).normal(size=(5, 4, 4))
    said = best_fit(effects_of(drops), Explanations({"ours": misplace(drops)}, {}), roles)
    assert words in said
    assert "rank correlation 1" in said
    assert best_fit(effects_of(drops), Explanations({"ours": drops}, {}), roles) == ""


def test_modules_with_numbers_for_names_are_called_modules():
    one = remedies.of_own_block(["3.weight", "3.bias"], "mine.py:7")
    assert one.startswith("Call the model's own module 3 instead of computing with its parameters")
    two = remedies.of_own_block(["0.weight", "3.bias"], "mine.py:7")
    assert two.startswith("Call the model's own modules 0, 3 instead")
