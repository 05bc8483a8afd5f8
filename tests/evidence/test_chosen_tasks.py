"""A worker elsewhere gives, byte for byte, the files that the audit's own process keeps."""

import dataclasses

import pytest
import torch

from audit.evidence import store
from audit.evidence.chosen_tasks import measure_chosen, needed_files
from audit.evidence.interim_looks import measured_looks, place_of
from audit.evidence.plan import gather_kind, plan
from audit.evidence.tasks import Tasks, task_file
from tests.gathered import gathered


class Elsewhere:
    """An executor that has another process's files written into another folder, and copies them."""

    def __init__(self, context, there):
        self.context, self.there, self.ran = context, there, {}

    def takes(self, tasks):
        return tasks > 1

    def run(self, folder, tasks, told):
        evidence, place = place_of(folder.parents[1])
        own = self.there / str(len(self.ran))
        for name, content in needed_files(evidence, place, folder).items():
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(content)
        found = measure_chosen(self.context, own, place, folder.name, list(tasks))
        assert {name.rpartition(".")[0] for name in found} == {task_file(name) for name in tasks}
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            (folder / name).write_bytes(content)
        self.ran[place, folder.name, *tasks] = found
        told(len(tasks))


KINDS = ["effects", "explanations", "faithfulness", "reparametrization"]


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_by_name_are_those_of_the_audit(context_for, tmp_path, kind):
    context = context_for("attention-logit-gradient")
    evidence, here = gathered(context, kind), tmp_path / "evidence"
    for needed in plan(frozenset({kind})):
        if needed != kind:
            store.save(here, needed, getattr(evidence, needed))
    store.save(here, "roles", context.roles)
    elsewhere = Elsewhere(context, tmp_path / "there")
    tasks = Tasks(executor=elsewhere).of(here, kind)
    found = gather_kind(kind, dataclasses.replace(context, tasks=tasks), evidence)
    assert elsewhere.ran
    store.save(tmp_path, "found", found)
    store.save(tmp_path, "alone", getattr(evidence, kind))
    for ending in ("json", "npz"):
        files = [tmp_path / f"{name}.{ending}" for name in ("found", "alone")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_each_look_has_its_own_pairs_elsewhere_too(context_for, pairs, tmp_path):
    rows = torch.arange(60)
    many = dataclasses.replace(
        pairs,
        ids=tuple(f"pair-{row}" for row in rows.tolist()),
        images=torch.randn(60, 3, 32, 32, generator=torch.Generator().manual_seed(3)),
        picture=rows,
        labels=rows % 4,
        present=torch.nn.functional.one_hot(rows % 4, 4).bool(),
    )
    context = context_for("attention-logit-gradient", data=many)
    elsewhere = Elsewhere(context, tmp_path / "there")
    asked = frozenset({"explanations", "effects", "faithfulness"})
    own = dataclasses.replace(context, tasks=Tasks(executor=elsewhere))
    looks = measured_looks(own, tmp_path / "ours", "key", resume=False)
    assert len(looks.pairs) > 1
    found = looks.at(2, asked)
    assert {place for place, *_ in elsewhere.ran} == {"look-1", "look-2"}
    alone = measured_looks(context, tmp_path / "alone", "key", resume=False).at(2, asked)
    assert not found.failures
    for kind in asked:
        for name, gathered_there in (("ours", found), ("alone", alone)):
            store.save(tmp_path / kind, name, getattr(gathered_there.evidence, kind))
        files = [tmp_path / kind / f"{name}.npz" for name in ("ours", "alone")]
        assert files[0].read_bytes() == files[1].read_bytes()
