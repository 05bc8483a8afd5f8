"""How many processes measure side by side, and that the setting of threads is put back."""

import os
from types import SimpleNamespace

import joblib
import psutil
import pytest
import torch

from audit.config.settings import Settings, SettingsError
from audit.engine.status_board import StatusBoard
from audit.engine.worker_count import forks_of, single_thread, suited_threads
from audit.evidence.side_by_side import Forks
from audit.models.loading import load_model


@pytest.fixture
def board(tmp_path):
    return StatusBoard(tmp_path / "status", create=True)


def test_one_thread_for_the_bundled_model_and_the_setting_is_put_back():
    torch.set_num_threads(2)
    try:
        with suited_threads(load_model()):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("workers", "count", "single"),
    [("auto", 1, False), ("auto", 2, True), (1, 1, True), (3, 3, True)],
)
def test_one_thread_where_processes_may_be_side_by_side(workers, count, single):
    settings = Settings(explainer="gradient", workers=workers)
    assert single_thread(settings, Forks(count)) is single


def test_as_many_as_cores_where_memory_allows(board, monkeypatch):
    model, settings = load_model(), Settings(explainer="gradient")
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**35))
    assert forks_of(settings, model, board).count == 8
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    assert forks_of(settings, model, board).count == 1
    assert forks_of(Settings(explainer="gradient", workers=5), model, board).count == 5


def test_one_process_where_nobody_supervises():
    model = load_model()
    assert forks_of(Settings(explainer="gradient"), model, None).count == 1
    with pytest.raises(SettingsError, match=r"workers: expected 1 or auto, found 4: the explainer"):
        forks_of(Settings(explainer="gradient", workers=4), model, None)


def test_what_a_fork_does_is_seen_and_forgotten_with_it(board):
    """A supervisor sees a call that hangs in a fork while another one ends its calls."""
    board.call("mine", 1)
    pid = os.fork()
    if pid == 0:
        board.write_apart()
        board.call("the fork's", 2)
        os._exit(0)
    os.waitpid(pid, 0)
    board.call("", 0)
    assert [status.explainer for status in board.all_statuses()] == ["", "the fork's"]
    assert board.all_statuses()[1].calls_for(-1)
    board.forget(pid)
    assert [status.explainer for status in board.all_statuses()] == [""]
