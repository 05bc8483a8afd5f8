"""Finished tasks come back as they were measured, whatever they hold."""

import dataclasses

import numpy as np
import pytest
import torch

from audit.evidence.map_faithfulness import Gaps
from audit.evidence.plan import gather_kind
from audit.evidence.tasks import Tasks, forget_all
from tests.gathered import gathered

KINDS = (
    "effects",
    "executed",
    "explanations",
    "faithfulness",
    "ladder",
    "randomization",
    "reparametrization",
    "repeatability",
    "trace",
)


def same(one, other):
    """Equal dataclasses with arrays in them."""
    if dataclasses.is_dataclass(one):
        names = [f.name for f in dataclasses.fields(one)]
        return all(same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_from_its_finished_tasks_is_that_of_fresh_ones(context_for, tmp_path, kind):
    other = {"executed": "grad-eclip?weight=raw"}  # what it executes is not the model's score
    context = context_for(other.get(kind, "attention-logit-gradient"))
    evidence = gathered(context, kind)
    tasks = Tasks().of(tmp_path, kind)
    keeping = dataclasses.replace(context, tasks=tasks)
    first = gather_kind(kind, keeping, evidence)
    assert tasks.any_kept()
    files = sorted(tasks.folder.glob("*.npz"))
    written = [file.stat().st_mtime_ns for file in files]
    again = gather_kind(kind, keeping, evidence)
    assert [file.stat().st_mtime_ns for file in files] == written
    assert same(again, first)
    assert same(first, getattr(evidence, kind))


def test_a_damaged_task_is_measured_again(tmp_path):
    tasks = Tasks().of(tmp_path, "faithfulness")
    measured = Gaps({"mine": np.array([0.5])}, np.array([1.0]))
    assert same(tasks.kept("mean", Gaps, lambda: measured), measured)
    for file in tasks.folder.glob("*.npz"):
        file.write_bytes(b"")
    other = Gaps({"mine": np.array([0.25])}, np.array([1.0]))
    assert same(tasks.kept("mean", Gaps, lambda: other), other)


def test_half_precision_and_names_alike_but_for_a_sign(tmp_path):
    tasks = Tasks().of(tmp_path, "ladder")
    half = torch.tensor([0.1], dtype=torch.bfloat16)
    assert tasks.one_drawn("rung -1", lambda: half).dtype is torch.float32
    assert tasks.one_drawn("rung 1", lambda: half * 2).item() == pytest.approx(0.2, rel=0.01)
    assert tasks.one_drawn("rung -1", lambda: half * 3).item() == float(half)


def test_tasks_are_forgotten_with_their_kind_and_with_all(tmp_path):
    tasks = Tasks().of(tmp_path, "ladder")
    tasks.one_drawn("a", lambda: torch.zeros(1))
    tasks.forget()
    assert not tasks.any_kept()
    tasks.one_drawn("a", lambda: torch.ones(1))
    forget_all(tmp_path)
    assert not tasks.any_kept()
    assert not Tasks().any_kept()
