"""One task of those alike is run, and counted as often as there are of them."""

import time

import numpy as np
import pytest
import torch

from audit.evidence.counted_passes import passes_counted
from audit.evidence.map_faithfulness import Gaps
from audit.evidence.sampled_tasks import Sampled
from audit.evidence.tasks import Tasks

CPU = torch.device("cpu")


def product(rows):
    """A product of matrices of 2 * rows * 3 * 4 multiplications and additions."""
    return torch.ones(rows, 3) @ torch.ones(3, 4)


def test_passes_are_told_apart_by_direction():
    weight = torch.ones(3, 4, requires_grad=True)
    with passes_counted() as passes:
        out = (torch.ones(5, 3) @ weight).sum()
        assert (passes.forward, passes.backward) == (2 * 5 * 3 * 4, 0)
        out.backward()
    assert (passes.forward, passes.backward) == (2 * 5 * 3 * 4, 2 * 5 * 3 * 4)
    product(9)
    assert passes.forward == 2 * 5 * 3 * 4


def test_alike_tasks_are_run_once_and_counted_each():
    run = []

    def measure(name):
        run.append(name)
        product(5)
        return Gaps({"mine": np.array([0.5, 0.25]) + 1e-6 * len(run)}, np.array([1.0]))

    names = ["first", "rung, a", "rung, b", "rung, c", "scores of x", "scores of y"]
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        before = sampler.spent()
        tasks = {name: lambda name=name: measure(name) for name in names}
        found = Tasks(sampler=sampler).all_kept(Gaps, tasks)
        spent = sampler.spent() - before
    assert run == ["first", "rung, a", "scores of x", "scores of y"]
    assert spent.forward == len(names) * 2 * 5 * 3 * 4
    assert 0 < spent.aside <= spent.seconds
    assert [one.of["mine"] for one in found] == [pytest.approx([0.5, 0.25], rel=2e-3)] * len(names)
    assert not np.array_equal(found[1].of["mine"], found[2].of["mine"])
    assert found[2].of["mine"].dtype == found[1].of["mine"].dtype


def test_several_tasks_take_no_less_than_the_longest_of_them():
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        before = sampler.spent()
        tasks = {"long": lambda: time.sleep(0.3), "short, a": lambda: time.sleep(0.02)}
        tasks |= {"short, b": tasks["short, a"]}
        sampler.all_kept(tasks)
        spent = sampler.spent() - before
    assert 0.3 <= spent.longest < spent.aside


def test_a_task_that_was_kept_costs_nothing_again():
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        tasks, before = Tasks(sampler=sampler), sampler.spent()
        tasks.one_drawn("batch, 1", lambda: product(5))
        tasks.one_drawn("batch, 2", lambda: product(5))
        tasks.one_drawn("batch, 1", lambda: product(5))
        assert (sampler.spent() - before).forward == 2 * 2 * 5 * 3 * 4
    assert passes.forward == 2 * 5 * 3 * 4


def test_a_batch_of_each_size_is_run():
    drawn = []

    def draw(part):
        drawn.append(len(part))
        return product(len(part))

    parts = torch.arange(14).split(4)
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        before = sampler.spent()
        found = torch.cat(Tasks(sampler=sampler).of_batches(parts, draw))
        assert (sampler.spent() - before).forward == 2 * 14 * 3 * 4
    assert drawn == [4, 2]
    assert found.shape == (14, 4)
    assert torch.equal(torch.cat(Tasks().of_batches(parts, draw)), product(14))
    assert drawn == [4, 2, 4, 4, 4, 2]


def test_what_two_tasks_give_alike_all_give():
    same = np.array([0.5, 0.7])
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        sampler.kept("the first", lambda: Gaps({"mine": np.array([0.1]), "free": same}, same[:1]))
        found = [
            sampler.kept(f"rung, {i}", lambda: Gaps({"mine": np.array([0.3]), "free": same}, same))
            for i in range(3)
        ]
    assert [list(one.of["free"]) for one in found] == [list(same)] * 3
    assert len({one.of["mine"][0] for one in found}) == 3


def test_the_number_format_of_what_is_like_another_stays():
    with passes_counted() as passes:
        sampler = Sampled(passes, CPU)
        given = Gaps({"mine": torch.rand(50).double().numpy()}, np.array([True]))
        one, other = (sampler.kept(f"alike, {i}", lambda: given) for i in range(2))
    single = other.of["mine"].astype(np.float32).astype(np.float64)
    assert np.array_equal(single, other.of["mine"])  # as compressible as the first
    assert one is given
    assert other.span.dtype == bool
