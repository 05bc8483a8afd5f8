"""Tables of papers measured anew: their rows, their numbers, and what stands beside them."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from audit.config.settings import Settings
from audit.data.bundled_scenes import bundled_pairs
from audit.engine.context_building import load_audited_model
from audit.engine.protocol_presets import CAAP, GRAD_ECLIP, UnknownProtocolError, preset_named
from audit.engine.protocol_reports import write_protocol
from audit.engine.protocol_runs import ProtocolRun
from audit.engine.protocol_store import Measured, ProtocolStore, finish
from audit.engine.protocol_tables import cells_of, csv_of, latex_of, lines_of
from audit.evidence.context import all_maps
from audit.explainers.binding import bound
from audit.explainers.registry import load_explainer
from audit.metrics.localization import mask_on_grid
from audit.metrics.overlap import weighted_f_measure
from tests.made_results import HOSTILE
from tests.reports.browser import CHROMIUM
from tests.reports.pages import expect_a_sound_page

DELETION, INSERTION = GRAD_ECLIP.measures


def made(seed=0, pairs=40):
    """A run in which each number is known: the first explainer is best by 0.2 on each pair."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.3, 0.6, pairs)
    values = {
        name: {DELETION: tuple(base + worse), INSERTION: tuple(base - worse)}
        for name, worse in zip(GRAD_ECLIP.explainers, (0.0, 0.2, 0.1, 0.3), strict=True)
    }
    return ProtocolRun("ViT-B-16, openai", "pictures", tuple(range(pairs)), values, {}), base


def test_published_numbers_keep_the_order_of_the_paper():
    for of in (lambda stated: stated.published, lambda stated: stated.reproduced):
        named = [name for name in GRAD_ECLIP.explainers if name in GRAD_ECLIP.stated]
        assert len(named) == 3
        deletion = [of(GRAD_ECLIP.stated[name][DELETION]) for name in named]
        insertion = [of(GRAD_ECLIP.stated[name][INSERTION]) for name in named]
        assert deletion == sorted(deletion)  # lower is better
        assert insertion == sorted(insertion, reverse=True)


def test_rows_of_an_ablation_change_one_factor():
    specs = CAAP.specs(12)
    assert specs == (
        "caap", "caap?neutral=blurred", "caap?window=3", "caap?window=5",
        "caap?start=0&stop=3", "caap?start=3&stop=6", "caap?start=6&stop=9",
        "caap?start=9&stop=12", "caap?start=0&stop=12",
    )  # fmt: skip
    assert "caap?start=0&stop=2" in CAAP.specs(2)
    assert not any("start=0&stop=0" in spec for spec in CAAP.specs(2))
    assert CAAP.specs(0) == CAAP.explainers
    assert GRAD_ECLIP.specs(12) == GRAD_ECLIP.explainers


def test_means_and_paired_differences_are_those_of_the_pairs():
    run, base = made()
    cells = {(cell.explainer, cell.measure): cell for cell in cells_of(GRAD_ECLIP, run)}
    assert cells["grad-eclip", DELETION].mean.value == pytest.approx(base.mean())
    assert cells["grad-eclip", DELETION].behind is None
    for measure in (DELETION, INSERTION):  # worse is positive, whichever way the measure goes
        behind = cells["maskclip?keys=true", measure].behind
        assert (behind.value, behind.low, behind.high) == pytest.approx((0.2, 0.2, 0.2))
    assert cells["grad-cam?heads=released", DELETION].published == 0.3417
    assert cells["grad-cam?heads=released", INSERTION].reproduced == 0.2655
    assert cells["grad-cam", INSERTION].reproduced is None


def test_intervals_stay_within_the_range_of_a_measure():
    run, _ = made(pairs=8)
    rare = dict.fromkeys((DELETION, INSERTION), (0.0,) * 6 + (0.2, 1.0))
    run = dataclasses.replace(run, values={"grad-eclip": rare, "grad-cam": rare})
    for cell in cells_of(GRAD_ECLIP, run):
        assert cell.mean.low == 0.0
        assert cell.mean.value < cell.mean.high <= 1.0


def test_tables_show_what_others_give():
    run, base = made()
    lines = list(lines_of(GRAD_ECLIP, run))
    assert lines[0] == "grad-eclip: 40 pairs of pictures, ViT-B-16, openai"
    row = next(line for line in lines if line.startswith("grad-eclip  "))
    assert f"{base.mean():.4f}" in row
    assert "0.2464      0.2489" in row
    rows = list(csv.DictReader(csv_of(GRAD_ECLIP, run).splitlines()))
    assert len(rows) == 8
    first = rows[0]
    assert (first["explainer"], first["measure"], first["published"], first["behind"]) == (
        "grad-eclip", DELETION, "0.2464", "",
    )  # fmt: skip
    assert float(first["mean"]) == pytest.approx(base.mean())
    assert f"{base.mean():.4f} (0.2464)" in latex_of(GRAD_ECLIP, run)


def test_an_interrupted_protocol_goes_on(tmp_path):
    store = ProtocolStore(tmp_path, "key", resume=True)
    assert store.kept("gradient") is None
    measured = Measured({DELETION: (0.25, 0.5)}, maps={"p1": [[0.0, 1.0]]})
    store.keep("gradient", measured)
    store.keep("game", Measured({}, "it needs heads"))
    again = ProtocolStore(tmp_path, "key", resume=True)
    assert again.kept("gradient") == measured
    assert again.kept("game") == Measured({}, "it needs heads")
    assert again.kept("edges") is None
    assert ProtocolStore(tmp_path, "another", resume=True).kept("gradient") is None
    assert ProtocolStore(tmp_path, "key", resume=False).kept("gradient") is None
    store.keep("gradient", Measured({DELETION: (0.25, 0.5)}))
    finish(tmp_path, "key")
    assert ProtocolStore(tmp_path, "key", resume=True).kept("gradient") is None


def test_what_an_edited_explainer_gave_is_not_kept(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def flat(model, images, targets):\n    return images.mean(1)\n")
    explainer = load_explainer(f"{file}:flat")
    ProtocolStore(tmp_path / "b", "key", resume=True).keep("mine", Measured({}), explainer)
    assert ProtocolStore(tmp_path / "b", "key", resume=True).kept("mine") == Measured({})
    file.write_text("def flat(model, images, targets):\n    return images.amax(1)\n")
    assert ProtocolStore(tmp_path / "b", "key", resume=True).kept("mine") is None


def test_the_page_holds_the_numbers(tmp_path):
    run, base = made()
    run = dataclasses.replace(run, left_out={HOSTILE: "no heads"}, kept=("maskclip?keys=true",))
    page = write_protocol(GRAD_ECLIP, [run, run], tmp_path)
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert f"{base.mean():.4f}" in text
    assert "kept from before an interruption: maskclip?keys=true" in text
    assert text.count("0.2464") == 2
    assert (tmp_path / "grad-eclip.csv").read_text().count("\n") == 17
    assert (tmp_path / "grad-eclip.tex").read_text().count(r"\begin{tabular}") == 2


@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_the_page_in_a_browser(tmp_path):
    run, _ = made()
    expect_a_sound_page(write_protocol(GRAD_ECLIP, [run], tmp_path), tmp_path / "browser")


def test_an_unknown_protocol_is_told(command):
    with pytest.raises(UnknownProtocolError, match="did you mean 'grad-eclip'"):
        preset_named("grad-eclp")
    done = command("benchmark", "--protocol", "rise")
    assert done.exit_code == 2
    assert "expected one of grad-eclip, caap" in done.output


def test_a_protocol_measures_the_explainers_on_all_pairs(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "5", "--out", "b"]
    done = command("benchmark", "--protocol", "grad-eclip", "edges", *words)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("b/grad-eclip.csv").read_text().splitlines()))
    assert [row["explainer"] for row in rows[::2]] == [*GRAD_ECLIP.explainers, "edges"]
    assert {row["pairs"] for row in rows} == {"5"}
    assert all(0 <= float(row["mean"]) <= 1 for row in rows)
    assert not any(row["published"] for row in rows[-2:])
    assert "edges" in Path("b/grad-eclip.html").read_text(encoding="utf-8")
    (kept,) = Path("b/measured").iterdir()
    (kept / "finished").unlink()  # as if it had been interrupted at the end
    assert command("benchmark", "--protocol", "grad-eclip", "edges", *words).exit_code == 0
    text = Path("b/grad-eclip.html").read_text(encoding="utf-8")
    assert f"kept from before an interruption: {', '.join(GRAD_ECLIP.explainers)}, edges" in text
    for name in (*GRAD_ECLIP.explainers, "edges"):  # kept with the numbers
        assert text.count(f'alt="Map: {name}"') == 5
    assert text.count("<q><bdi>") == 5
    assert "no picture" not in text
    again = list(csv.DictReader(Path("b/grad-eclip.csv").read_text().splitlines()))
    assert again == rows


def test_an_ablation_has_the_values_of_its_settings(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "4", "--out", "b"]
    done = command("benchmark", "--protocol", "caap", *words)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("b/caap.csv").read_text().splitlines()))
    found = {row["explainer"]: float(row["mean"]) for row in rows if row["measure"] == "weighted-f"}
    assert set(found) == set(CAAP.specs(2))
    settings = Settings(model=tiny_model, samples=4)
    model = load_audited_model(settings)
    pairs = bundled_pairs(model, 4, seed=settings.seed)
    masks = mask_on_grid(pairs.masks, model.patch_grid)
    for spec in ("caap?window=3", "caap?start=0&stop=2"):
        maps = all_maps(bound(load_explainer(spec), model, pairs.targets), model, pairs)
        known = weighted_f_measure(maps, masks).nanmean()  # one that no patch half covers has none
        assert found[spec] == pytest.approx(float(known), abs=1e-6)
    assert found["caap?window=3"] != found["caap"]
