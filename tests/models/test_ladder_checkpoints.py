from types import SimpleNamespace

import pytest
import torch

from audit.models import ladder_checkpoints
from audit.models.checkpoints import state_sha256
from audit.models.errors import ModelError
from audit.models.ladder_checkpoints import find_checkpoints
from audit.models.pristine import pristine_copy


def test_a_checkpoint_becomes_a_model_and_leaves_the_audited_one(tiny, other_state, saved):
    before = tiny.state_sha256()
    (checkpoint,) = find_checkpoints(tiny, [saved(other_state)])
    module = checkpoint.load(tiny.module)
    assert torch.equal(module.visual.proj, other_state["visual.proj"])
    assert not module.training
    assert state_sha256(module) == checkpoint.sha256
    assert tiny.state_sha256() == before != checkpoint.sha256


def test_weights_that_are_there_already_are_refused(tiny, other_state, saved):
    same = saved(tiny.module.state_dict(), "same.pt")
    with pytest.raises(ModelError, match="same weights as the model under audit"):
        find_checkpoints(tiny, [same])
    one, two = saved(other_state, "one.pt"), saved(other_state, "two.safetensors")
    with pytest.raises(ModelError, match=r"two\.safetensors' holds the same weights as '.*one\.pt"):
        find_checkpoints(tiny, [one, two])


def test_another_architecture_is_refused(tiny, wider_state, saved):
    with pytest.raises(ModelError, match="another architecture"):
        find_checkpoints(tiny, [saved(wider_state)])


def test_a_file_that_changes_meanwhile_is_noticed(tiny, other_state, saved):
    file = saved(other_state)
    (checkpoint,) = find_checkpoints(tiny, [file])
    saved({n: 2 * t for n, t in other_state.items()})
    with pytest.raises(ModelError, match="changed while the audit ran"):
        checkpoint.load(tiny.module)


def test_a_tag_is_loaded_under_the_name_of_the_model(tiny, other_state, monkeypatch):
    other = pristine_copy(tiny.module)
    other.load_state_dict(other_state)
    asked = []

    def load(name, tag, **_):
        asked.append((name, tag))
        return SimpleNamespace(module=other)

    monkeypatch.setattr(ladder_checkpoints, "load_model", load)
    (checkpoint,) = find_checkpoints(tiny, ["laion2b_e16"])
    assert checkpoint.sha256 == state_sha256(other)
    assert asked == [(tiny.name, "laion2b_e16")]


def test_a_tag_of_another_activation_is_refused(tiny, monkeypatch):
    other = pristine_copy(tiny.module)
    other.visual.transformer.resblocks[0].mlp.gelu = torch.nn.ReLU()
    other_model = SimpleNamespace(module=other)
    monkeypatch.setattr(ladder_checkpoints, "load_model", lambda *_, **__: other_model)
    with pytest.raises(ModelError, match="another architecture"):
        find_checkpoints(tiny, ["openai"])
