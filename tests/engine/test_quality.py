"""Whole audits with ``--quality``: what decides, what stands beside it, and what is kept."""

import json

import numpy as np
import pytest

import audit
from audit.evidence.plan import load_evidence

ASKED = "energy,mask-iou,sparseness,infidelity,max-sensitivity"
TITLES = ["energy gain", "mask IoU at the mean", "sparseness", "infidelity", "max-sensitivity"]


@pytest.fixture
def run(check_tiny, tmp_path):
    """An audit of P205 and its result."""

    def audited(*words, out="out"):
        done = check_tiny(
            "grad-attention", "--no-history", "--out", out, *words, select="P101,P205"
        )
        assert done.exit_code in {0, 1}, done.output
        return json.loads((tmp_path / out / "result.json").read_text())

    return audited


def test_the_first_decides_and_all_are_reported(run, tmp_path):
    result = run("--quality", ASKED, "--format", "html")
    assert [one["title"] for one in result["quality"]] == TITLES
    assert [one["decides"] for one in result["quality"]] == [True, *[False] * 4]
    evidence = load_evidence(tmp_path / "out" / "evidence")
    assert evidence.roles.decides == "energy gain"
    own, other = (
        kind.localization["grad-attention"]["energy gain"]
        for kind in (evidence.explanations, evidence.text_specificity)
    )
    first = result["checks"][-1]["finding"]["statistics"][0]
    assert first["value"] == pytest.approx(float(np.nanmean(own - other)))
    energy = result["quality"][0]["of"][0]
    assert energy["explainer"] == "grad-attention"
    assert energy["mean"] == pytest.approx(float(np.nanmean(own)))
    assert energy["n"] == 4
    infidelity = result["quality"][3]
    assert infidelity["passes"] == 4 * 51
    assert len(infidelity["of"]) == 5
    assert any(note.startswith("Localization is judged by energy gain") for note in result["notes"])
    assert result["conditions"]["settings"]["quality"] == str(ASKED.split(","))
    assert "--quality energy" in result["conditions"]["command"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="quality"' in page
    assert "energy gain (decides)" in page
    assert "Mean energy gain" in page


def test_the_same_seed_gives_the_same_numbers_and_saved_evidence_has_them(run):
    one = run("--quality", ASKED)
    two = run("--quality", ASKED, out="again")
    assert one["quality"] == two["quality"]
    judged = run("--from-evidence", "out", out="judged")
    assert judged["quality"] == one["quality"]
    assert judged["checks"][-1]["finding"] == one["checks"][-1]["finding"]
    assert [n for n in judged["notes"] if "--quality" in n] == [
        n for n in one["notes"] if "--quality" in n
    ]


def test_another_decider_or_another_list_does_not_answer_from_old_evidence(run):
    asked = [(), ("--quality", "energy"), ("--quality", "energy,sparseness")]
    found = [run("--reuse", *words) for words in asked]
    assert len({one["conditions"]["evidence"] for one in found}) == 3
    assert all(not one["timing"]["reused"] for one in found)
    again = run("--reuse", *asked[-1])
    assert "map_quality" in again["timing"]["reused"]
    assert again["quality"] == found[-1]["quality"]


def test_without_it_all_is_as_before(run):
    result = run()
    assert result["quality"] == []
    assert "quality" not in result["conditions"]["settings"]
    assert not [note for note in result["notes"] if "Localization is judged" in note]
    assert set(result["pair_quality"][0]["values"]) >= {"average precision", "energy gain"}
    same = run("--quality", "average-precision,energy,pointing", out="named")
    assert (
        same["checks"][-1]["finding"]["statistics"] == result["checks"][-1]["finding"]["statistics"]
    )
    assert same["pair_quality"] == result["pair_quality"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("road", "expected first a measure that can decide"),
        ("sparseness,energy", "found 'sparseness', which measures the map alone"),
        ("enrgy", "did you mean 'energy'"),
        ("grid-pointing", "expected grids for 'grid-pointing'"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage(check_tiny, asked, told):
    done = check_tiny("grad-attention", "--quality", asked, select="P101,P205")
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_from_python_and_from_the_file_of_settings(command, tiny_model, tmp_path):
    with pytest.raises(ValueError, match="which is one against masks: average-precision"):
        audit.check("grad-attention", model=tiny_model, quality="arcc")
    found = audit.check(
        "grad-attention",
        model=tiny_model,
        samples=4,
        profile="quick",
        select="P101,P205",
        quality="rank-accuracy,sparseness",
    )
    assert [one.title for one in found.quality] == ["relevance rank accuracy", "sparseness"]
    table = found.quality_frame()
    assert table.loc[("sparseness", "random"), "pairs"] == 4
    assert table.loc["rank-accuracy", "decides"].all()
    assert found.decides == "relevance rank accuracy"
    assert len(found.model_copy(update={"quality": []}).quality_frame()) == 0
    (tmp_path / "audit.toml").write_text('quality = "weighted-f, road"\n')
    shown = json.loads(command("check", "--show-settings").output)
    assert shown["quality"] == ["weighted-f", "road"]


def test_the_list_names_them_all(command):
    text = command("list", "quality").output
    assert "weighted-f" in text
    assert "may decide" in text
    assert "of the family road" in text


def test_data_without_masks_tell_what_was_not_measured(command, tiny_model, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    rows = ["image,label"]
    for n in range(4):
        pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
        rows.append(f"{n}.png,{'cat' if n % 2 else 'dog'}")
    (tmp_path / "photos" / "manifest.csv").write_text("\n".join(rows))
    words = ["check", "-e", "grad-attention", "--model", tiny_model, "--profile", "quick"]
    words += [
        "--data",
        "photos/manifest.csv",
        "--grid",
        "off",
        "--select",
        "P101,P205",
        "--no-history",
    ]
    done = command(*words, "--samples", "4", "--quality", "energy,sparseness", "--out", "out")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert "Not measured: energy gain: there are no masks." in result["notes"], done.output
    assert not any("is judged by" in note for note in result["notes"])
    assert [len(one["of"]) for one in result["quality"]] == [0, 5]


def test_looks_at_more_pairs_measure_them_too(check_tiny, tmp_path):
    words = ["--samples", "auto", "--budget", "16", "--quality", "energy,sparseness,road-morf"]
    done = check_tiny("grad-attention", *words, "--no-history", "--out", "out", select="P101,P205")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    looks = sorted((tmp_path / "out" / "evidence").glob("look-*/map_quality.json"))
    assert looks, done.output
    probed = sum(len(load_evidence(one.parent).map_quality.probed) for one in looks)
    sparse = next(one for one in result["quality"] if one["name"] == "sparseness")
    assert sparse["of"][0]["n"] == probed
    assert result["quality"][0]["of"][0]["n"] == result["data"]["pairs"]


def test_a_benchmark_shares_what_is_of_the_model_and_finds_the_same(
    command, run, tiny_model, tmp_path
):
    words = ["benchmark", "grad-attention", "gradient", "--model", tiny_model, "--samples", "4"]
    words += ["--profile", "quick", "--select", "P101,P205", "--quality", ASKED, "--out", "bench"]
    done = command(*words)
    assert done.exit_code in {0, 1}, done.output
    alone = run("--quality", ASKED)
    found = [json.loads(one.read_text()) for one in (tmp_path / "bench").glob("*/result.json")]
    assert len(found) == 2
    shared = next(one for one in found if one["explainer"]["name"] == "grad-attention")
    assert shared["quality"] == alone["quality"]
