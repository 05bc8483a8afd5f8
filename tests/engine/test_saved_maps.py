"""Maps that strangers drew of exported pairs, on grids too, are those of the explainer itself."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from audit.config.settings import Settings
from audit.engine.context_building import load_audited_model
from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.errors import ExplainerImportError
from audit.explainers.registry import load_explainer
from audit.explainers.saved_maps import UnknownPairError, pair_key, picture_hash

ASKED = ("P202", "P203", "P205", "P206")


def expect_whole(done):
    """Nothing went wrong; of so few pairs no check may come to a verdict."""
    unsettled = "no check came to a verdict" in " ".join(done.output.split())
    assert done.exit_code in {0, 1} or unsettled, done.output


@pytest.fixture
def words(tiny_model, tmp_path):
    """Options of a small audit of grids of pictures that have labels alone."""
    rng = np.random.default_rng(0)
    for n in range(24):
        place = tmp_path / "classes" / "abcdef"[n % 6] / f"{n}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(place)
    return [
        "--model",
        tiny_model,
        "--data",
        "folder:classes",
        "--samples",
        "8",
        "--profile",
        "quick",
    ]


@pytest.fixture
def exported(command, words, tmp_path):
    """Rows and arrays of what was written, and how to save maps of an explainer."""
    done = command("pairs", *words, "--grid", "2", "--out", "pairs")
    assert done.exit_code == 0, done.output
    assert "audit check --explainer maps:maps.npz" in done.output
    with (tmp_path / "pairs" / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return rows, dict(np.load(tmp_path / "pairs" / "inputs.npz"))


def draw(given, model, name="gradient"):
    """What a stranger does: maps of the given pictures and targets, by any code."""
    images, targets = (torch.from_numpy(given[key]) for key in ("images", "targets"))
    picture = torch.from_numpy(given["picture"])
    explainer = load_explainer(name)
    explainer = bound(explainer, model, None)
    return run_explainer(explainer, model.module, images[picture], targets).maps.detach().numpy()


def test_rows_pictures_and_arrays_are_of_the_same_pairs(exported, tmp_path):
    rows, given = exported
    assert [row["key"] for row in rows] == given["keys"].tolist()
    assert len({row["key"] for row in rows}) == len(rows)
    for row, place, target in zip(rows, given["picture"], given["targets"], strict=True):
        image, ids = torch.from_numpy(given["images"][place]), torch.from_numpy(target)
        assert row["key"] == pair_key(picture_hash(image), ids)
        assert (tmp_path / "pairs" / row["picture"]).is_file()
        assert row["text"] == f"a photo of a {row['class']}."
        assert (row["shown"] == "yes") == bool(row["pair"])
    own = [row for row in rows if row["pair"]]
    assert len({row["pair"] for row in own}) == len(own) >= 8
    assert all(row["pair"].startswith("set-") for row in own)
    assert any(row["shown"] == "no" for row in rows)  # asked for a class that no cell shows


def test_saved_maps_are_judged_as_the_explainer_that_drew_them(
    command, exported, words, tiny_model, tmp_path
):
    _, given = exported
    model = load_audited_model(Settings(explainer="gradient", model=tiny_model))
    np.savez(tmp_path / "maps.npz", keys=given["keys"], maps=draw(given, model))
    results = {}
    for name in ("gradient", "maps:maps.npz"):
        more = ["--select", "P101,P201,P202,P203,P205,P206", "--no-history", "--out", name[:4]]
        more += ["--quality", "average-precision,sparseness,max-sensitivity"]
        done = command("check", "--explainer", name, *words, "--grid", "2", *more)
        expect_whole(done)
        results[name] = json.loads((tmp_path / name[:4] / "result.json").read_text())
    one, two = results.values()
    checks = {c["id"]: c["finding"] for c in two["checks"]}
    for own in one["checks"]:
        if own["id"] in ASKED:
            assert checks[own["id"]]["verdict"] == own["finding"]["verdict"]
            assert checks[own["id"]]["statistics"] == own["finding"]["statistics"]
    assert {i for i, found in checks.items() if found["verdict"] == "not-applicable"} >= {
        *("P101", "P201")
    }
    assert "saved elsewhere" in checks["P101"]["summary"]
    assert two["pair_quality"] == one["pair_quality"]
    assert two["data"]["grid"] == 2
    assert two["explainer"]["source_file"] == "maps.npz"
    measured = {m["name"]: m["of"][0] for m in two["quality"]}
    assert measured["sparseness"]["mean"] is not None
    assert measured["max-sensitivity"]["mean"] is None  # nobody is here to be run anew
    more = ["--select", "P105,P202,P203,P205,P206", "--no-history", "--out", "judged"]
    again = command("check", "--from-evidence", "maps", *more)
    expect_whole(again)
    judged = json.loads((tmp_path / "judged" / "result.json").read_text())
    verdicts = {c["id"]: c["finding"]["verdict"] for c in judged["checks"]}
    assert verdicts["P105"] == "not-applicable"
    assert all(verdicts[i] == checks[i]["verdict"] for i in ASKED)


def test_other_maps_in_the_same_file_are_not_answered_from_old_evidence(
    command, exported, words, tmp_path
):
    _, given = exported
    shape, found = (len(given["keys"]), 4, 4), []
    for maps in (np.zeros(shape), np.random.default_rng(0).random(shape)):
        np.savez(tmp_path / "maps.npz", keys=given["keys"], maps=maps)
        more = ["--select", "P205", "--no-history", "--reuse", "--out", "out"]
        done = command("check", "--explainer", "maps:maps.npz", *words, "--grid", "2", *more)
        expect_whole(done)
        found.append(json.loads((tmp_path / "out" / "result.json").read_text()))
    assert not found[1]["timing"]["reused"]
    assert found[0]["pair_quality"] != found[1]["pair_quality"]


def test_other_pairs_than_those_written_are_told(command, exported, words, tmp_path):
    _, given = exported
    np.savez(tmp_path / "maps.npz", keys=given["keys"], maps=np.zeros((len(given["keys"]), 4, 4)))
    done = command("check", "--explainer", "maps:maps.npz", *words, "--grid", "2", "--seed", "5")
    assert done.exit_code == 3
    text = " ".join(done.output.split())
    assert "expected a map of every pair in 'maps.npz', found none of" in text
    assert "same model, data, grid, samples, seed and profile" in text


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (None, "expected a file of maps, found none"),
        ({"maps": np.zeros((2, 3, 3))}, "expected the arrays keys and maps"),
        ({"keys": np.array(["a"]), "maps": np.zeros((2, 3, 3))}, r"got \(1,\) and \(2, 3, 3\)"),
        ({"keys": np.array(["a"]), "maps": np.zeros((1, 3))}, r"maps \(pairs, h, w\)"),
        ({"keys": ["a", "b", "a"], "maps": np.ones((3, 2, 2))}, "each key once, found 'a' 2 times"),
    ],
)
def test_files_that_hold_no_maps_are_refused(arrays, told, tmp_path):
    file = tmp_path / "maps.npz"
    if arrays:
        np.savez(file, **arrays)
    with pytest.raises(ExplainerImportError, match=told):
        load_explainer(f"maps:{file}")


def test_the_key_is_of_the_exact_picture_and_target(tmp_path):
    image, target = torch.rand(3, 4, 4), torch.tensor([1, 2])
    key = pair_key(picture_hash(image), target)
    np.savez(tmp_path / "maps.npz", keys=np.array([key]), maps=np.arange(4.0).reshape(1, 2, 2))
    found = load_explainer(f"maps:{tmp_path / 'maps.npz'}")
    maps = found.explain(torch.nn.Identity(), image[None], target[None])
    assert maps.tolist() == [[[0.0, 1.0], [2.0, 3.0]]]
    for other in ((image[None] + 1e-6, target[None]), (image[None], target[None] + 1)):
        with pytest.raises(UnknownPairError, match="found none of 1 of 1 pairs"):
            found.explain(torch.nn.Identity(), *other)


def test_a_number_of_pairs_that_is_not_fixed_is_refused(command, tiny_model):
    done = command("pairs", "--model", tiny_model, "--samples", "auto")
    assert done.exit_code == 2
    assert "expected a number of pairs" in done.output
