import os
from pathlib import Path

import pytest
import torch

from audit.models.checkpoints import lay_into, read_state, state_sha256
from audit.models.errors import ModelError
from audit.models.loading import load_model


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("a.safetensors", lambda state: state),
        ("a.pt", lambda state: state),
        ("a.bin", lambda state: {"state_dict": state, "epoch": 3, "name": "run"}),
        ("a.pth", lambda state: {"state_dict": {f"module.{n}": t for n, t in state.items()}}),
    ],
)
def test_every_common_kind_of_file_gives_the_same_tensors(other_state, saved, name, wrap):
    found = read_state(saved(wrap(other_state), name)).tensors
    assert found.keys() == other_state.keys()
    assert all(torch.equal(found[n], other_state[n]) for n in found)


@pytest.mark.parametrize("table", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "model.", "clip.", "base_model.model.", "module._orig_mod."]
)
def test_what_training_code_wraps_around_weights_is_taken_off_and_told(
    tiny, tiny_model, other_state, saved, table, prefix
):
    state = {f"{prefix}{n}": t for n, t in other_state.items()}
    file = saved({table: state, "epoch": 3} if table else state, "wrapped.pt")
    model = load_model(tiny_model, file)
    assert torch.equal(model.module.visual.proj, other_state["visual.proj"])
    (told,) = model.notes
    assert file in told
    assert all(f"'{part}.'" in told for part in prefix.split(".") if part == "_orig_mod")
    assert (table is None) or f"'{table}'" in told


def test_plain_weights_have_nothing_to_tell(tiny_model, other_state, saved):
    assert load_model(tiny_model).notes == ()
    assert load_model(tiny_model, saved(other_state)).notes == ()


def test_a_prefix_that_the_model_bears_itself_stays(other_state, saved):
    wrapped = {f"model.{n}": t for n, t in other_state.items()}
    assert read_state(saved(wrapped), wrapped).tensors.keys() == wrapped.keys()


def test_two_tables_that_could_be_the_weights_are_refused(other_state, saved):
    with pytest.raises(ModelError, match="expected tensors by name"):
        read_state(saved({"model": other_state, "state_dict": other_state}, "two.pt"))


def test_positions_of_another_size_are_told(tiny, tiny_model, other_state, saved):
    positions = other_state["positional_embedding"]
    file = saved(other_state | {"positional_embedding": torch.cat([positions, positions])})
    (told,) = load_model(tiny_model, file).notes
    assert "positional_embedding interpolated" in told


def test_no_code_of_a_checkpoint_is_run(saved, tmp_path):
    target = tmp_path / "made-by-the-checkpoint"
    file = saved({"state_dict": {}, "bomb": Bomb(str(target))}, "bomb.pt")
    with pytest.raises(ModelError, match="cannot read checkpoint"):
        read_state(file)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read checkpoint"),
        (b"no weights", "cannot read checkpoint"),
        (None, "no checkpoint file"),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_files_that_hold_no_weights(tmp_path, content, message, suffix):
    file = tmp_path / f"broken.{suffix}"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_state(str(file))


@pytest.mark.parametrize("content", [{}, {"lr": 0.1}, [torch.zeros(2)], torch.zeros(2)])
def test_files_that_hold_something_else(saved, content):
    with pytest.raises(ModelError, match="expected tensors by name"):
        read_state(saved(content, "other.pt"))


def test_another_architecture_is_named(tiny, wider_state):
    before = state_sha256(tiny.module)
    with pytest.raises(ModelError, match=r"another architecture.*has shape.*expected.*more"):
        lay_into(tiny.module, wider_state, "wide.pt")
    assert state_sha256(tiny.module) == before


def test_missing_unknown_and_broken_tensors_are_named(tiny, other_state):
    less = {n: t for n, t in other_state.items() if n != "visual.proj"}
    with pytest.raises(ModelError, match=r"visual\.proj is missing"):
        lay_into(tiny.module, less, "x")
    with pytest.raises(ModelError, match="adapter is unknown"):
        lay_into(tiny.module, other_state | {"adapter": torch.zeros(1)}, "x")
    broken = other_state | {"logit_scale": torch.tensor(float("nan"))}
    with pytest.raises(ModelError, match=r"no finite numbers: logit_scale"):
        lay_into(tiny.module, broken, "x")


def test_the_weights_of_a_file_replace_those_of_a_folder(tiny, tiny_model, other_state, saved):
    model = load_model(tiny_model, saved(other_state))
    assert torch.equal(model.module.visual.proj, other_state["visual.proj"])
    assert model.state_sha256() != tiny.state_sha256()


def test_a_tag_for_a_model_in_a_folder_is_refused(tiny_model):
    for name in (tiny_model, "bundled"):
        with pytest.raises(ModelError, match=r"expected a checkpoint file.*'openai'"):
            load_model(name, "openai")


def test_a_missing_file_for_a_model_in_a_folder_is_named(tiny_model):
    with pytest.raises(ModelError, match=r"no checkpoint file 'gone\.pt'"):
        load_model(tiny_model, "gone.pt")
    assert not Path("gone.pt").exists()
