"""An explainer that memory holds for a few pairs alone is audited in smaller batches."""

import json

import pytest
import torch

from audit.evidence.smaller_batches import (
    batch_notes,
    forget_batches,
    in_batches_that_fit,
    resume_batches,
)

EXPLAINERS = """\
import torch


def gradient(model, images, targets):
    images = images.clone().requires_grad_(True)
    image, text, _ = model(images, targets)
    (grad,) = torch.autograd.grad((image * text).sum(), images)
    return grad.abs().amax(1)


def hungry(model, images, targets):
    if len(images) > 6:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return gradient(model, images, targets)


def never_enough(model, images, targets):
    if len(images) > 2 or "again" in globals():
        globals()["again"] = True
        raise MemoryError
    return gradient(model, images, targets)
"""


@pytest.fixture
def audit(tmp_path, check_tiny):
    (tmp_path / "own.py").write_text(EXPLAINERS)

    def run(name):
        words = ["--samples", "24", "--workers", "1", "--out", name, "--format", "json"]
        check_tiny(f"own.py:{name}", *words, select="P205,P206")
        return json.loads((tmp_path / name / "result.json").read_text())

    return run


def test_what_is_found_is_that_of_enough_memory_and_it_is_told(audit):
    plain, found = audit("gradient"), audit("hungry")
    assert not plain["failures"]
    assert not found["failures"]
    assert [one["finding"]["summary"] for one in found["checks"]] == [
        one["finding"]["summary"] for one in plain["checks"]
    ]
    told = ["Memory did not hold" in " ".join(one["notes"]) for one in (plain, found)]
    assert told == [False, True]


def test_what_does_not_fit_alone_is_a_failure(audit):
    found = audit("never_enough")
    assert "MemoryError" in found["failures"][0]["message"]
    assert found["exit_code"] == 3


class Counted:
    """A model that counts pairs, and a batch that is halved by what it is told."""

    def __init__(self, most):
        self.largest_batch, self.device, self.most, self.tried = None, torch.device("cpu"), most, []

    def size(self):
        return min(64, self.largest_batch or 64)

    def work(self):
        self.tried.append(self.size())
        if self.size() > self.most:
            cause = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            raise ValueError("no maps") from cause
        return "done"


def test_batches_are_halved_as_often_as_it_takes_and_stay_so_when_it_goes_on(tmp_path):
    model = Counted(most=10)
    assert in_batches_that_fit(model, model.size, tmp_path, model.work) == "done"
    assert model.tried == [64, 32, 16, 8]
    assert "at most 8." in batch_notes(model)[0]
    again = Counted(most=10)
    resume_batches(again, tmp_path)
    assert in_batches_that_fit(again, again.size, tmp_path, again.work) == "done"
    assert again.tried == [8]
    forget_batches(tmp_path)
    fresh = Counted(most=64)
    resume_batches(fresh, tmp_path)
    assert (fresh.size(), batch_notes(fresh)) == (64, [])


def test_other_errors_and_a_batch_of_one_are_raised(tmp_path):
    model = Counted(most=0)
    with pytest.raises(ValueError, match="no maps"):
        in_batches_that_fit(model, model.size, tmp_path, model.work)
    assert model.tried[-1] == 1

    def wrong():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_batches_that_fit(Counted(most=9), lambda: 64, tmp_path, wrong)


def test_what_is_written_down_is_not_trusted(tmp_path):
    for text in ("", "[]", '{"pairs": "many"}', '{"pairs": -4}'):
        (tmp_path / "batches.json").write_text(text)
        model = Counted(most=64)
        resume_batches(model, tmp_path)
        assert model.size() == 64


def test_what_no_batch_is_small_enough_for_leaves_other_work_its_batches(tmp_path):
    model = Counted(most=0)
    with pytest.raises(ValueError, match="no maps"):
        in_batches_that_fit(model, model.size, tmp_path, model.work)
    assert (model.size(), batch_notes(model)) == (64, [])
    model.most = 10
    in_batches_that_fit(model, model.size, tmp_path, model.work)
    model.most = 0
    with pytest.raises(ValueError, match="no maps"):
        in_batches_that_fit(model, model.size, tmp_path, model.work)
    resumed = Counted(most=64)
    resume_batches(resumed, tmp_path)
    assert (model.size(), resumed.size()) == (8, 8)


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
    ],
)
def test_memory_runs_out_in_the_words_of_other_libraries(tmp_path, message):
    model = Counted(most=0)

    def work():
        if model.size() > 8:
            raise RuntimeError(message)
        return model.size()

    assert in_batches_that_fit(model, model.size, tmp_path, work) == 8


def test_an_error_that_is_its_own_cause_is_raised(tmp_path):
    def work():
        error = ValueError("of itself")
        raise error from error

    with pytest.raises(ValueError, match="of itself"):
        in_batches_that_fit(Counted(most=9), lambda: 64, tmp_path, work)
